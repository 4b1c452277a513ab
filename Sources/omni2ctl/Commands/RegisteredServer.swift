import OmniCore

/// A server as the daemon lists it.
struct RegisteredServer: Sendable {
    /// The row of the registry, with `health` when it is live.
    let row: JSONValue

    var id: Int64 { row["id"]?.int ?? 0 }
    var name: String { row["name"]?.string ?? "" }
    var isEnabled: Bool { row["enabled"]?.bool == true }
    var circuit: String { row["health"]?["circuit_state"]?.string ?? "-" }
    var path: String { "/api/v1/mcp/servers/\(id)" }
    var circuitPath: String { "/api/v1/circuit-breaker/mcp/\(id)" }

    var state: String {
        isEnabled ? row["health_status"]?.string ?? "unknown" : "disabled"
    }

    static func all(_ client: Client) async throws(Failure) -> [RegisteredServer] {
        let reply = try await client.get("/api/v1/mcp/tools/servers?include_health=true")
        return (reply["data"]?["servers"]?.array ?? []).map { RegisteredServer(row: $0) }
    }

    /// The one of this name; otherwise the names that there are.
    static func named(
        _ name: String, _ client: Client
    ) async throws(Failure) -> RegisteredServer {
        let servers = try await all(client)
        if let server = servers.first(where: { $0.name == name }) { return server }
        let names = servers.map(\.name).sorted().prefix(10).joined(separator: ", ")
        throw .failed(
            names.isEmpty
                ? "there is no server named \(name); none is registered, see omni2ctl mcp add --help"
                : "there is no server named \(name); there are \(names)")
    }

    static func table(_ servers: [RegisteredServer], _ style: Style) -> String {
        var table = Table(["NAME", "STATE", "CIRCUIT", "TOOLS", "PROTOCOL", "ADDRESS"])
        for server in servers.sorted(by: { $0.name < $1.name }) {
            table.add([
                .init(server.name), .state(server.state), .state(server.circuit),
                .init(Words.plain(server.row["health"]?["tool_count"])),
                .init(Words.plain(server.row["protocol"])),
                .init(Words.plain(server.row["url"])),
            ])
        }
        return table.text(
            style, nothing: "No servers are registered; omni2ctl mcp add --help says how.")
    }
}
