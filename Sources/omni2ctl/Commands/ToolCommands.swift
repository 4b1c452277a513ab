import OmniCore

/// `tools list` and `tools call`.
enum ToolCommands {
    @Sendable
    static func list(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        var path = "/api/v1/mcp/tools/list"
        if let name = invocation.optional("SERVER") {
            let server = try await RegisteredServer.named(name, client)
            guard server.isEnabled else { throw ServerOrders.isDisabled(server) }
            path += "?server=\(PercentText.encode(name))"
        }
        let servers = try await client.get(path)["data"]?["servers"] ?? [:]
        return Reply(["servers": servers]) { style in
            var table = Table(["SERVER", "TOOL", "DESCRIPTION"])
            for (server, tools) in servers.object?.members ?? [] {
                for tool in tools.array ?? [] {
                    table.add([
                        .init(server), .init(Words.plain(tool["name"])),
                        .init(Words.firstLine(tool["description"]?.string ?? "")),
                    ])
                }
            }
            return table.text(
                style, nothing: "No tools are offered now; omni2ctl mcp list tells why.")
        }
    }

    @Sendable
    static func call(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let body: JSONValue = [
            "server": .string(invocation[argument: "SERVER"]),
            "tool": .string(invocation[argument: "TOOL"]),
            "arguments": try arguments(invocation.optional("JSON") ?? "{}"),
        ]
        client.progress.doing(
            "calling \(invocation[argument: "SERVER"]) \(invocation[argument: "TOOL"])")
        let answer = try await client.ask("POST", "/api/v1/mcp/tools/call", body)
        guard answer.json["result"]?.isNull == false else {
            // A server that is disabled is not known there; the registry tells.
            let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
            throw server.isEnabled ? .failed(answer.reason) : ServerOrders.isDisabled(server)
        }
        let result = answer.json["result"] ?? .null
        var reply = Reply(answer.json) { style in text(result, style) }
        reply.isSuccess = answer.json["success"]?.bool == true
        reply.remark = remark(answer.json)
        return reply
    }

    private static func arguments(_ given: String) throws(Failure) -> JSONValue {
        let text = given == "-" ? input() : given
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: text)
        } catch {
            throw .usage("the tool's arguments are not JSON: \(error)")
        }
        guard value.object != nil else {
            throw .usage("the tool's arguments are a JSON object such as '{\"path\": \"/tmp\"}'")
        }
        return value
    }

    private static func input() -> String {
        var text = ""
        while let line = readLine(strippingNewline: false) { text += line }
        return text
    }

    private static func remark(_ answer: JSONValue) -> String? {
        if answer["success"]?.bool != true { return "omni2ctl: the tool reported an error" }
        guard answer["cache"]?["hit"]?.bool == true else { return nil }
        let seconds = (answer["cache"]?["age_ms"]?.int ?? 0) / 1000
        return "(from the cache, \(Words.time(seconds: seconds)) old)"
    }

    /// The texts of a result; of what is no text, what it is.
    static func text(_ result: JSONValue, _ style: Style) -> String {
        guard let content = result["content"]?.array, !content.isEmpty else {
            return (result["structuredContent"] ?? result).text + "\n"
        }
        var lines = ""
        for item in content {
            var line = item["text"]?.string ?? item["resource"]?["text"]?.string ?? named(item)
            // Bytes for a file or a pipe stay as they are.
            if style.isTerminal { line = Words.harmless(line, keepsLines: true) }
            lines += line.hasSuffix("\n") ? line : line + "\n"
        }
        return lines
    }

    private static func named(_ item: JSONValue) -> String {
        let kind = Words.plain(item["type"])
        if let uri = item["uri"]?.string ?? item["resource"]?["uri"]?.string {
            return "[\(kind) \(uri)]"
        }
        return "[\(kind) \(Words.plain(item["mimeType"])); --json prints it]"
    }
}
