import OmniCore
import OmniIO

/// `watch`: live events as they come, one line each, or a picture that is drawn in its place.
enum WatchCommand {
    /// What only says that all goes on is left out unless it is asked for.
    private static let quiet: Set<String> = [
        "ping", "system_metrics", "system_health", "cache_stats", "mcp_health_check",
    ]
    private static let severities = ["info", "medium", "high", "critical"]

    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let filter = try await filter(invocation, client)
        let since = try number("since", invocation)
        let count = try number("count", invocation) ?? .max
        if invocation.option("top") != nil, !invocation.options.isJSON {
            return try await EventBoard.run(invocation, client, filter)
        }
        var printer = Printer(
            isJSON: invocation.options.isJSON,
            style: Style(client.environment, isFull: invocation.options.isFull), filter: filter,
            left: count)
        var feed = EventFeed(client: client, types: filter.types, last: since)
        try await feed.run { printer.tell($0) }
        return .nothing
    }

    static func number(_ name: String, _ invocation: Invocation) throws(Failure) -> UInt64? {
        guard let text = invocation.option(name) else { return nil }
        guard let number = UInt64(text) else {
            throw .usage("--\(name) is a whole number, not \(text)")
        }
        return number
    }

    // MARK: What is wanted

    /// The daemon chooses by type, we by the rest.
    struct Filter {
        var types: [String]
        var hidden: Set<String> = []
        var servers: Set<String> = []
        var severities: Set<String> = []

        func lets(_ event: JSONValue) -> Bool {
            guard let type = event["type"]?.string, !hidden.contains(type) else { return false }
            let data = event["data"] ?? .null
            let server = data["mcp_name"]?.string ?? event["mcp_name"]?.string
            if !servers.isEmpty {
                guard let server, servers.contains(server.lowercased()) else { return false }
            }
            if !severities.isEmpty {
                guard let word = data["severity"]?.string, severities.contains(word) else {
                    return false
                }
            }
            return true
        }
    }

    private static func filter(
        _ invocation: Invocation, _ client: Client
    ) async throws(Failure) -> Filter {
        let metadata = try await client.get("/api/v1/events/metadata")
        let known = (metadata["categories"]?.array ?? [])
            .flatMap { $0["events"]?.array ?? [] }.compactMap { $0["id"]?.string }
        let everyones = ["ping", "health_event", "system_metrics", "initial_status"]
        var filter = Filter(types: known)
        if let words = invocation.option("type").map(list) {
            for word in words where !(known + everyones).contains(word) {
                Console.error(
                    "omni2ctl: the daemon itself has no event \(word), waiting for published ones; "
                        + "its own are \((known + everyones).joined(separator: ", "))\n")
            }
            filter.types = words
            // Some come unasked for.
            filter.hidden = Set(everyones).subtracting(words)
        } else {
            filter.hidden = quiet
        }
        if let names = invocation.option("server").map(list) {
            for name in names { _ = try await RegisteredServer.named(name, client) }
            filter.servers = Set(names.map { $0.lowercased() })
        }
        if let word = invocation.option("severity"), let from = severities.firstIndex(of: word) {
            filter.severities = Set(severities[from...])
        }
        return filter
    }

    private static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0.drop { $0 == " " }) }
    }

    // MARK: Lines

    private struct Printer {
        let isJSON: Bool
        let style: Style
        let filter: Filter
        var left: UInt64

        /// False when as many as asked for have been shown.
        mutating func tell(_ happening: EventFeed.Happening) -> Bool {
            switch happening {
            case .event(let text, let event):
                guard filter.lets(event) else { return true }
                show(text, event)
                left -= 1
            case .gap(let text, let event):
                Console.error(
                    "omni2ctl: events were missed: the daemon's log does not reach back so far; "
                        + "this is how everything stands now\n")
                show(text, event)
            case .lost(let reason):
                Console.error("omni2ctl: the connection is lost (\(reason)), trying again\n")
            case .cameBack: Console.error("omni2ctl: connected again\n")
            }
            return left > 0
        }

        private func show(_ text: String, _ event: JSONValue) {
            Console.print(isJSON ? text + "\n" : EventLine.text(event, style))
        }
    }
}
