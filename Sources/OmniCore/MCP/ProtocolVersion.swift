/// The revisions of the MCP specification, oldest first.
public enum ProtocolVersion: UInt8, CaseIterable, Comparable, Hashable, Sendable {
    case v2024_11_05, v2025_03_26, v2025_06_18, v2025_11_25, v2026_07_28

    /// A connection is negotiated once (`handshake`), or every request carries all it needs
    /// (`modern`). The two differ in framing, sessions and the direction of requests.
    public enum Era: UInt8, Hashable, Sendable { case handshake, modern }

    public static let latest = v2026_07_28
    public static let latestHandshake = v2025_11_25
    /// What HTTP means when the header is absent after initialize.
    public static let assumedWithoutHeader = v2025_03_26

    public var text: StaticString {
        switch self {
        case .v2024_11_05: "2024-11-05"
        case .v2025_03_26: "2025-03-26"
        case .v2025_06_18: "2025-06-18"
        case .v2025_11_25: "2025-11-25"
        case .v2026_07_28: "2026-07-28"
        }
    }

    public init?(_ text: String) {
        guard let version = Self.allCases.first(where: { "\($0.text)" == text }) else { return nil }
        self = version
    }

    /// From a JSON string (range with quotes).
    public init?(_ value: ByteRange?, in bytes: RawSpan) {
        let match = Self.allCases.first { JSONScanner.equals(value, $0.text, in: bytes) }
        guard let match else { return nil }
        self = match
    }

    /// From a header's bytes (no quotes).
    public init?(header: ByteRange, in bytes: RawSpan) {
        guard let version = Self.allCases.first(where: { bytes.equals(header, $0.text) }) else {
            return nil
        }
        self = version
    }

    public var era: Era { self < .v2026_07_28 ? .handshake : .modern }

    /// Only one revision had JSON-RPC batches.
    public var allowsBatches: Bool { self == .v2025_03_26 }
    public var requiresVersionHeader: Bool { self >= .v2025_06_18 }
    public var hasStructuredContent: Bool { self >= .v2025_06_18 }
    public var hasTitles: Bool { self >= .v2025_06_18 }
    public var hasAnnotations: Bool { self >= .v2025_03_26 }
    /// The peer may send us requests (sampling, roots, elicitation) outside a result.
    public var hasServerRequests: Bool { era == .handshake }

    /// What a server answers to `initialize`: the client's wish if it is a handshake revision we
    /// know, our latest one otherwise (the client then decides whether it can live with it).
    public static func negotiated(for requested: ProtocolVersion?) -> ProtocolVersion {
        guard let requested, requested.era == .handshake else { return latestHandshake }
        return requested
    }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
