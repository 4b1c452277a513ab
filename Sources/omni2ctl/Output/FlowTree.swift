import OmniCore
import OmniIO

/// Checkpoints of a flow as a tree, each with its colour and how long it took.
enum FlowTree {
    static func text(_ roots: [JSONValue], _ style: Style) -> String {
        if roots.isEmpty { return "The flow has no checkpoints.\n" }
        return roots.map { node($0, "", "", style) }.joined()
    }

    private static func node(
        _ event: JSONValue, _ first: String, _ rest: String, _ style: Style
    ) -> String {
        let children = event["children"]?.array ?? []
        var text = first + line(event, style, used: first.count) + "\n"
        for (index, child) in children.enumerated() {
            let isLast = index == children.count - 1
            text += node(
                child, rest + (isLast ? "└─ " : "├─ "), rest + (isLast ? "   " : "│  "), style)
        }
        return text
    }

    static func isFailure(_ event: JSONValue) -> Bool {
        event["status"]?.string == "failed" || event["event_type"]?.string == "error"
            || event["error"]?.string != nil
    }

    /// One checkpoint: a mark, its name, what it says, how long it took.
    static func line(_ event: JSONValue, _ style: Style, used: Int) -> String {
        let failed = isFailure(event)
        let told = [
            "node_id", "event_type", "parent_id", "timestamp", "duration_ms", "children", "status",
            "type", "topic", "seq", "user_id", "session_id", "source", "origin",
        ]
        let members = (event.object?.members ?? [])
            .filter { !told.contains($0.name) && !$0.value.isNull }
            .map { "\($0.name) \(Words.plain($0.value))" }.joined(separator: ", ")
        let took = event["duration_ms"]?.double.map { "\(Words.rounded($0)) ms" }
        let parts = [Words.plain(event["event_type"]), took, members.isEmpty ? nil : members]
        var line = (failed ? "✗ " : "● ") + parts.compactMap { $0 }.joined(separator: "  ")
        line = Words.harmless(line)
        if let width = style.width { line = Words.cut(line, to: width - used) }
        return style.paint(line, failed ? .red : colour(of: event))
    }

    private static func colour(of event: JSONValue) -> Style.Colour? {
        switch event["event_type"]?.string {
        case "cache_lookup": event["result"]?.string == "hit" ? .green : .dim
        case "llm_thinking", "llm_complete": .blue
        default: .green
        }
    }
}

/// `flows watch`: checkpoints as they come, indented under those they follow.
struct FlowPrinter {
    let isJSON: Bool
    let style: Style
    var left: UInt64
    private var session = ""
    /// How deep a node stands; of the flows that were seen last.
    private var depths: [String: Int] = [:]

    private static let nodesMax = 10_000

    init(isJSON: Bool, style: Style, left: UInt64) {
        (self.isJSON, self.style, self.left) = (isJSON, style, left)
    }

    /// False when as many as asked for have been shown.
    mutating func tell(_ happening: EventFeed.Happening) -> Bool {
        switch happening {
        case .event(let text, let event):
            guard event["type"]?.string == "flow_event" else { return true }
            Console.print(isJSON ? text + "\n" : lines(event))
            left -= 1
        case .gap:
            Console.error(
                "omni2ctl: checkpoints were missed; omni2ctl flows list has what was recorded\n")
        case .lost(let reason):
            Console.error("omni2ctl: the connection is lost (\(reason)), trying again\n")
        case .cameBack: Console.error("omni2ctl: connected again\n")
        }
        return left > 0
    }

    private mutating func lines(_ event: JSONValue) -> String {
        var text = ""
        let current = Words.plain(event["session_id"])
        if current != session {
            session = current
            let source = Words.plain(event["source"])
            text +=
                style.paint("\(Words.harmless(current))  \(Words.harmless(source))", .bold) + "\n"
        }
        if depths.count > Self.nodesMax { depths = [:] }
        let depth = event["parent_id"]?.string.flatMap { depths[$0] }.map { $0 + 1 } ?? 0
        if let id = event["node_id"]?.string { depths[id] = depth }
        let indent = 2 * depth + 2
        return text + Words.spaces(indent) + FlowTree.line(event, style, used: indent) + "\n"
    }
}
