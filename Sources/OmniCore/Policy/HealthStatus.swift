/// How a server is, as it is stored, shown and announced.
public enum HealthStatus: String, Hashable, Sendable, CaseIterable {
    case unknown
    case loading
    case healthy
    case disconnected
    case circuitOpen = "circuit_open"
    case disabled

    /// Reads the original's words as well, whatever their case; nil for a word nobody ever wrote.
    public init?(reading text: String) {
        switch text.lowercased() {
        case "unknown", "": self = .unknown
        case "loading", "not_loaded": self = .loading
        case "healthy", "active": self = .healthy
        case "disconnected", "unhealthy", "error", "degraded": self = .disconnected
        case "circuit_open": self = .circuitOpen
        case "disabled", "inactive": self = .disabled
        default: return nil
        }
    }

    public var severity: EventSeverity {
        switch self {
        case .unknown, .loading, .healthy: .info
        case .disconnected, .circuitOpen: .high
        case .disabled: .critical
        }
    }
}

/// What the dashboard colours events by.
public enum EventSeverity: String, Hashable, Sendable, CaseIterable {
    case info, medium, high, critical
}
