/// How grave a record is; the raw value is the journal's `PRIORITY=`.
public enum LogLevel: UInt8, Sendable, CaseIterable {
    /// The daemon cannot do its job.
    case critical = 2
    /// Something failed that somebody must look at.
    case error = 3
    /// Something failed that the daemon works around.
    case warning = 4
    /// Normal, and an operator wants to see it.
    case notice = 5
    /// Normal.
    case info = 6
    /// For whoever reads the source beside it.
    case debug = 7

    /// The level's own name, or syslog's short form of it.
    public init?(name: String) {
        switch name.lowercased() {
        case "critical", "crit": self = .critical
        case "error", "err": self = .error
        case "warning", "warn": self = .warning
        case "notice": self = .notice
        case "info": self = .info
        case "debug": self = .debug
        default: return nil
        }
    }

    public var name: String {
        switch self {
        case .critical: "critical"
        case .error: "error"
        case .warning: "warning"
        case .notice: "notice"
        case .info: "info"
        case .debug: "debug"
        }
    }

    /// Whether a record of this level is kept when the journal's level is `limit`.
    @inlinable
    public func isEnabled(at limit: LogLevel) -> Bool { rawValue <= limit.rawValue }
}
