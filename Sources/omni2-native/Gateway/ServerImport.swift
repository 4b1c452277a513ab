import OmniCore
import OmniIO

/// The `mcpServers` JSON that MCP clients already use, read into the registry.
///
///     {"mcpServers": {"time": {"command": "mcp-server-time", "args": ["--local-timezone=UTC"]},
///                     "docs": {"url": "https://…/mcp", "headers": {"Authorization": "Bearer …"},
///                              "omni2": {"cache_policy": "read_only", "ttl": 60}}}}
///
/// A name that is registered already gets the entry's configuration; servers the file does not name
/// stay as they are.
final class ServerImport {
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    let path: String
    let configurations: [ServerConfiguration]
    private static let bytesMax = 8 << 20

    init(path: String) throws(Problem) {
        self.path = path
        configurations = try Self.read(path)
    }

    /// Everything in the file that makes no sense is named at once.
    static func read(_ path: String) throws(Problem) -> [ServerConfiguration] {
        let bytes: [UInt8]
        do throws(Files.ReadError) {
            bytes = try Files.read(path, bytesMax: bytesMax)
        } catch {
            throw Problem(description: "[MCP] ImportFile=\(path): \(error)")
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: JSONWithComments.plain(bytes))
        } catch {
            throw Problem(description: "[MCP] ImportFile=\(path): not JSON: \(error)")
        }
        // Claude Desktop and Cursor; VS Code's mcp.json; VS Code's settings.json.
        let found = value["mcpServers"] ?? value["servers"] ?? value["mcp"]?["servers"]
        guard let servers = found?.object else {
            throw Problem(
                description: "[MCP] ImportFile=\(path): needs an object mcpServers with one member "
                    + "per server")
        }
        var configurations: [ServerConfiguration] = []
        var problems: [String] = []
        for (name, entry) in servers.members {
            do throws(ServerBody.Problem) {
                configurations.append(try configuration(name, entry))
            } catch {
                problems.append("[MCP] ImportFile=\(path): mcpServers.\(name): \(error.message)")
            }
        }
        guard problems.isEmpty else {
            throw Problem(description: problems.joined(separator: "\n"))
        }
        return configurations
    }

    private static func configuration(
        _ name: String, _ entry: JSONValue
    ) throws(ServerBody.Problem) -> ServerConfiguration {
        guard entry.object != nil else { throw .init(message: "must be an object") }
        guard entry["url"] != nil || entry["command"] != nil else {
            throw .init(message: "needs url or command")
        }
        var body: JSONValue = ["name": .string(name)]
        for member in ["url", "command", "args", "env", "cwd", "description", "omni2", "meta_data"]
        {
            if let value = entry[member] { body[member] = value }
        }
        if let word = entry["type"]?.string ?? entry["transport"]?.string {
            body["protocol"] = .string(transport(word))
        } else if entry["command"] == nil {
            body["protocol"] = "http-streamable"
        }
        if let seconds = entry["timeout"] ?? entry["timeout_seconds"] {
            body["timeout_seconds"] = seconds
        }
        if entry["disabled"]?.bool == true { body["status"] = "inactive" }
        try addCredential(entry, to: &body)
        return try ServerBody(creating: body).configuration
    }

    /// `Authorization: Bearer` among the headers is a bearer credential; other headers are what they
    /// are. `auth_type` with `auth_config` says it in the registry's own words.
    private static func addCredential(
        _ entry: JSONValue, to body: inout JSONValue
    ) throws(ServerBody.Problem) {
        if let type = entry["auth_type"] {
            body["auth_type"] = type
            if let options = entry["auth_config"] { body["auth_config"] = options }
            return
        }
        guard let headers = entry["headers"], !headers.isNull else { return }
        guard let object = headers.object else {
            throw .init(message: "headers must be an object of texts")
        }
        if object.isEmpty { return }
        if object.count == 1, let member = object.members.first,
            member.name.lowercased() == "authorization",
            let text = member.value.string, text.lowercased().hasPrefix("bearer ")
        {
            body["auth_type"] = "bearer"
            body["auth_config"] = ["token": .string(String(text.dropFirst(7)))]
        } else {
            body["auth_type"] = "custom_headers"
            body["auth_config"] = ["headers": headers]
        }
    }

    /// The words of the clients for the registry's.
    private static func transport(_ word: String) -> String {
        switch word {
        case "streamable-http", "streamableHttp", "http", "streamable_http": "http-streamable"
        default: word
        }
    }

    // MARK: Applying

    /// Inserts what is new, changes what differs. What cannot be written is said and skipped.
    func apply(to store: any Store, _ log: Log) async {
        do throws(StoreError) {
            let rows = try await store.servers()
            var counts = (added: 0, changed: 0)
            for configuration in configurations {
                guard let row = rows.first(where: { $0.name == configuration.name }) else {
                    _ = try await store.insert(configuration)
                    counts.added += 1
                    continue
                }
                guard row.configuration != configuration else { continue }
                _ = try await store.update(id: row.id, configuration)
                counts.changed += 1
            }
            log.info(
                "servers imported",
                fields: [
                    "file": path, "servers": configurations.count, "added": counts.added,
                    "changed": counts.changed,
                ])
        } catch {
            log.error(
                "servers could not be imported", id: .importFailed,
                fields: ["file": path, "error": "\(error)"])
        }
    }
}
