import OmniCore
import OmniIO

/// `mcp import`: the `mcpServers` file of MCP clients, or VS Code's form of it, one registration after
/// the other.
enum ServerImport {
    private static let bytesMax = 8 << 20

    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let entries = try read(invocation[argument: "FILE"])
        let units = try units(entries, invocation, client)
        let known = try await RegisteredServer.all(client)
        var done: [(name: String, what: String)] = []
        var refused: [(name: String, reason: String)] = []
        for (name, var body) in entries {
            client.progress.doing(
                "registering \(name) (\(done.count + refused.count + 1) of \(entries.count))")
            let server = known.first { $0.name == name }
            if let (unit, file) = units[name] {
                _ = try unit.install(file, client.environment)
                // They are the unit's business, and often secrets.
                for member in ["env", "cwd"] { body[member] = nil }
            }
            let answer =
                if let server {
                    try await client.ask("PUT", server.path, body)
                } else {
                    try await client.ask("POST", "/api/v1/mcp/servers", body)
                }
            if answer.isSuccess {
                done.append((name, server == nil ? "added" : "changed"))
            } else {
                refused.append((name, answer.reason))
            }
        }
        return reply(done, refused)
    }

    /// Those of the entries that become units of this host; what cannot become one is said before
    /// anything is changed.
    private static func units(
        _ entries: [(name: String, body: JSONValue)], _ invocation: Invocation, _ client: Client
    ) throws(Failure) -> [String: (ServerUnit, UnitFile)] {
        guard ServerUnit.areUsed(client.door) else { return [:] }
        var units: [String: (ServerUnit, UnitFile)] = [:]
        for (name, body) in entries {
            guard let command = body["command"]?.string else { continue }
            try ServerUnit.requireRoot("mcp import of a server with a command")
            var file = UnitFile(program: try UnitFile.find(command, client.environment))
            file.arguments = body["args"]?.strings ?? []
            file.hasNetwork = invocation.option("network") != nil
            for (variable, value) in body["env"]?.object?.members ?? [] {
                file.environment[variable] = value.string ?? value.text
            }
            units[name] = (try ServerUnit(name), file)
        }
        return units
    }

    private static func reply(
        _ done: [(name: String, what: String)], _ refused: [(name: String, reason: String)]
    ) -> Reply {
        let json: JSONValue = [
            "success": .bool(refused.isEmpty),
            "servers": .array(
                done.map { ["name": .string($0.name), "result": .string($0.what)] }
                    + refused.map {
                        [
                            "name": .string($0.name), "result": "refused",
                            "error": .string($0.reason),
                        ]
                    }),
        ]
        var reply = Reply(json) { style in
            var table = Table(["NAME", "RESULT", "REASON"])
            for (name, what) in done { table.add([.init(name), .init(what, .green), .init("")]) }
            for (name, reason) in refused {
                table.add([.init(name), .init("refused", .red), .init(reason)])
            }
            return table.text(style, nothing: "The file names no servers.")
        }
        reply.isSuccess = refused.isEmpty
        return reply
    }

    /// Every entry that makes no sense is named at once, before anything is changed.
    private static func read(
        _ path: String
    ) throws(Failure) -> [(name: String, body: JSONValue)] {
        let bytes: [UInt8]
        do throws(Files.ReadError) {
            bytes = try Files.read(path, bytesMax: bytesMax)
        } catch {
            throw .failed("\(path) cannot be read: \(error)")
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: JSONWithComments.plain(bytes))
        } catch {
            throw .failed("\(path) is not JSON: \(error)")
        }
        // Claude Desktop and Cursor; VS Code's mcp.json; VS Code's settings.json.
        let places = [
            ("mcpServers", value["mcpServers"]), ("servers", value["servers"]),
            ("mcp.servers", value["mcp"]?["servers"]),
        ]
        let found = places.first { $0.1 != nil }
        guard let (place, list) = found, let servers = list?.object else {
            throw .failed(
                "\(path) needs an object mcpServers (or servers) with one member per server")
        }
        var entries: [(name: String, body: JSONValue)] = []
        var problems: [String] = []
        for (name, entry) in servers.members {
            do throws(ImportedEntry.Problem) {
                entries.append((name, try ImportedEntry(name, entry).body))
            } catch {
                problems.append("\(path): \(place).\(name): \(error.message)")
            }
        }
        guard problems.isEmpty else { throw .failed(problems.joined(separator: "\n")) }
        return entries
    }
}
