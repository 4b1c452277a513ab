import OmniIO

/// Colours, where a person looks and wants them.
struct Style: Sendable {
    enum Colour: String, Sendable {
        case bold = "1"
        case dim = "2"
        case blue = "34"
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    let isTerminal: Bool
    /// Columns that lines must fit into; nil where nobody sees a border.
    let width: Int?
    private let hasColours: Bool

    init(_ environment: Environment, isFull: Bool = false) {
        isTerminal = Console.isOutputTerminal
        width = isFull || !isTerminal ? nil : Terminal.size?.columns
        hasColours =
            isTerminal && environment["NO_COLOR"] == nil && environment["TERM"] != "dumb"
    }

    func paint(_ text: String, _ colour: Colour?) -> String {
        guard hasColours, let colour else { return text }
        return "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m"
    }

    /// What a state of a server, a circuit or the daemon looks like.
    static func colour(of state: String) -> Colour? {
        switch state {
        case "healthy", "closed", "connected", "ok", "passed": .green
        case "loading", "half_open", "degraded", "starting", "warn", "medium", "warning": .yellow
        case "disconnected", "circuit_open", "unhealthy", "open", "unavailable", "error", "fail",
            "failed", "high", "critical":
            .red
        case "disabled", "inactive", "unknown": .dim
        default: nil
        }
    }
}
