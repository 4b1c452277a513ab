import OmniCore

/// A live event as one line for a person: time, severity, type, server, what happened.
enum EventLine {
    static func text(_ event: JSONValue, _ style: Style) -> String {
        let data = event["data"] ?? .null
        let severity = data["severity"]?.string ?? ""
        let type = event["type"]?.string ?? "-"
        let server = data["mcp_name"]?.string ?? event["mcp_name"]?.string ?? ""
        let cells = [
            Words.clock(event["timestamp"]?.string), pad(type, 22), pad(server, 12),
        ]
        var line = cells.joined(separator: "  ") + "  " + what(type, event, data)
        line = Words.harmless(line)
        if let width = style.width { line = Words.cut(line, to: width) }
        // Colours last: a cut in the middle of one would paint what follows.
        return style.paint(line, colour(severity, data)) + "\n"
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + Words.spaces(width - text.count)
    }

    private static func colour(_ severity: String, _ data: JSONValue) -> Style.Colour? {
        switch severity {
        case "critical", "high": .red
        case "medium": .yellow
        default: (data["new_status"] ?? data["state"])?.string.flatMap(Style.colour)
        }
    }

    private static func what(_ type: String, _ event: JSONValue, _ data: JSONValue) -> String {
        switch type {
        case "mcp_status_change":
            return "\(change(data, "status")): \(Words.plain(data["reason"]))"
        case "circuit_breaker_state":
            return "\(change(data, "state")): \(Words.plain(data["message"]))"
        case "initial_status":
            let servers = event["mcps"]?.array ?? []
            let states = servers.map {
                "\(Words.plain($0["name"])) \(Words.plain($0["health_status"]))"
            }
            return Words.count(servers.count, "server")
                + (states.isEmpty ? "" : ": " + states.joined(separator: ", "))
        case "system_metrics": return members(event["metrics"] ?? .null)
        default: return members(data.isNull ? event : data)
        }
    }

    private static func change(_ data: JSONValue, _ what: String) -> String {
        "\(Words.plain(data["old_\(what)"])) → \(Words.plain(data["new_\(what)"]))"
    }

    /// `name value` pairs of whatever else there is.
    private static func members(_ value: JSONValue) -> String {
        guard let object = value.object else { return value.text }
        let told = ["severity", "mcp_name", "type", "timestamp", "seq"]
        return object.members.filter { !told.contains($0.name) && !$0.value.isNull }
            .map { "\($0.name) \(Words.plain($0.value))" }.joined(separator: ", ")
    }
}
