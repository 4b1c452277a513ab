import OmniCore

/// `names`: what there is, one on a line. The shells' completion asks it.
enum NamesCommand {
    static let kinds = ["servers", "tools", "users", "roles", "sections"]

    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let names: [String]
        switch invocation[argument: "KIND"] {
        case "servers": names = try await RegisteredServer.all(client).map(\.name)
        case "tools":
            guard let server = invocation.optional("SERVER") else {
                throw .usage("names tools needs a SERVER")
            }
            let path = "/api/v1/mcp/tools/list?server=\(PercentText.encode(server))"
            let tools = try await client.get(path)["data"]?["servers"]?[server]?.array ?? []
            names = tools.compactMap { $0["name"]?.string }
        case "users":
            names = try await People.users(client).compactMap { $0["username"]?.string }
        case "roles":
            names = (try await client.get("/api/v1/roles")["roles"]?.array ?? [])
                .compactMap { $0["name"]?.string }
        case "sections":
            let settings = try await client.get("/api/v1/config")["settings"]?.array ?? []
            names = Set(settings.compactMap { $0["section"]?.string }).sorted()
        case let other:
            throw .usage("KIND is one of \(kinds.joined(separator: ", ")), not \(other)")
        }
        return Reply(JSONValue(names)) { _ in names.map { Words.harmless($0) + "\n" }.joined() }
    }
}
