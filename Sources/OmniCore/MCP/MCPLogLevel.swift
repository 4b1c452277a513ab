/// How grave a log message of a server is; RFC 5424's words.
public enum MCPLogLevel: UInt8, CaseIterable, Comparable, Hashable, Sendable {
    case debug, info, notice, warning, error, critical, alert, emergency

    public var text: StaticString {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .notice: "notice"
        case .warning: "warning"
        case .error: "error"
        case .critical: "critical"
        case .alert: "alert"
        case .emergency: "emergency"
        }
    }

    /// From a JSON string (range with quotes); nil for any other word.
    public init?(_ value: ByteRange?, in bytes: RawSpan) {
        let match = Self.allCases.first { JSONScanner.equals(value, $0.text, in: bytes) }
        guard let match else { return nil }
        self = match
    }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
