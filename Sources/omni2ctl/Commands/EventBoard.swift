import OmniCore
import OmniIO

/// `watch --top`: the state of all servers and the last events, drawn in their place.
enum EventBoard {
    private static let eventsMax = 200

    private final class State {
        var servers: [RegisteredServer] = []
        var cache: JSONValue = [:]
        var metrics: JSONValue = [:]
        var events: [JSONValue] = []
        var connection = "live"
        var isLost = false
        /// Something that the table of servers shows may have changed.
        var isStale = true
    }

    static func run(
        _ invocation: Invocation, _ client: Client, _ filter: WatchCommand.Filter
    ) async throws(Failure) -> Reply {
        let screen = try Screen(client, invocation.command)
        let pace = try interval(invocation)
        let state = State()
        // What cannot begin is said on the screen that was there before.
        _ = try await client.get("/health")
        client.atEnd = { screen.leave() }
        client.io.spawn { await follow(client, filter, state, screen) }
        try await screen.run(every: pace) { () async throws(Failure) in
            await refresh(state, client)
            return picture(
                state, Style(client.environment, isFull: invocation.options.isFull))
        }
        return .nothing
    }

    /// `--interval`, two seconds without it.
    static func interval(_ invocation: Invocation) throws(Failure) -> Duration {
        guard let text = invocation.option("interval") else { return .seconds(2) }
        guard let seconds = Double(text), (0.1...3600).contains(seconds) else {
            throw .usage("--interval is a number of seconds from 0.1 to 3600, not \(text)")
        }
        return .milliseconds(Int64(seconds * 1000))
    }

    private static func follow(
        _ client: Client, _ filter: WatchCommand.Filter, _ state: State, _ screen: Screen
    ) async {
        var feed = EventFeed(client: client, types: filter.types, last: nil)
        do throws(Failure) {
            try await feed.run { happening in
                switch happening {
                case .event(_, let event):
                    if event["type"]?.string == "system_metrics" {
                        state.metrics = event["metrics"] ?? [:]
                    }
                    guard filter.lets(event) else { return !screen.hasEnded }
                    state.isStale = true
                    state.events.insert(event, at: 0)
                    if state.events.count > eventsMax { state.events.removeLast() }
                case .lost(let reason): (state.isLost, state.connection) = (true, "lost: \(reason)")
                case .cameBack: (state.isLost, state.connection) = (false, "live, came back")
                case .gap: (state.isLost, state.connection) = (false, "live, with a gap")
                }
                screen.news()
                return !screen.hasEnded
            }
        } catch {
            (state.isLost, state.connection) = (true, error.message)
            screen.news()
        }
    }

    private static func refresh(_ state: State, _ client: Client) async {
        do throws(Failure) {
            state.servers = try await RegisteredServer.all(client)
            state.cache = try await client.get("/api/v1/cache/stats")["data"] ?? [:]
        } catch {
            // The stream tells of the connection; what was known is shown until it is back.
        }
    }

    private static func picture(_ state: State, _ style: Style) -> String {
        let connection = style.paint(state.connection, state.isLost ? .red : .green)
        var text = "omni2-native  \(connection)  q ends\n"
        text += Table.facts(
            [
                (
                    "Host",
                    .init(
                        "processor \(Words.plain(state.metrics["cpu_percent"])) %, memory "
                            + "\(Words.plain(state.metrics["memory_percent"])) %")
                ),
                (
                    "Cache",
                    .init(
                        "\(Words.plain(state.cache["size"])) results, "
                            + "\(Words.plain(state.cache["hit_rate_percent"])) % hits")
                ),
            ], style)
        text += "\n" + RegisteredServer.table(state.servers, style) + "\n"
        if state.events.isEmpty { return text + "No events yet.\n" }
        return text + state.events.map { EventLine.text($0, style) }.joined()
    }
}
