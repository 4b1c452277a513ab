/// Who speaks in the journal: the value of `SERVICE=`, the folder of the source, the test suite.
public enum Service: String, Sendable, CaseIterable {
    case main = "Main"
    case coordinator = "Coordinator"
    case cache = "Cache"
    case webSocket = "WebSocket"
    case circuitBreaker = "CircuitBreaker"
    case gateway = "Gateway"
    case flowTracker = "FlowTracker"
    case access = "Access"
    case api = "API"
    case database = "Database"
    case cluster = "Cluster"
    case telemetry = "Telemetry"
    case chat = "Chat"

    /// Position among all services: the index of its rate window.
    var ordinal: Int {
        switch self {
        case .main: 0
        case .coordinator: 1
        case .cache: 2
        case .webSocket: 3
        case .circuitBreaker: 4
        case .gateway: 5
        case .flowTracker: 6
        case .access: 7
        case .api: 8
        case .database: 9
        case .cluster: 10
        case .telemetry: 11
        case .chat: 12
        }
    }
}
