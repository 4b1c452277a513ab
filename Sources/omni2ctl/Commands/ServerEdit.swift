import OmniCore
import OmniIO

/// `mcp edit`: changes a registered server, by options or, without any, in an editor.
enum ServerEdit {
    /// What the editor shows; secrets are never shown, so they are changed by options.
    private static let members = [
        "url", "description", "protocol", "timeout_seconds", "max_retries", "retry_delay_seconds",
        "max_failure_cycles", "can_auto_enable", "omni2",
    ]

    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let changes = try changes(invocation)
        let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
        let row = try await client.get(server.path)["server"] ?? .null
        guard changes.object?.isEmpty == false else {
            return try await inEditor(server, row, client)
        }
        if changes["url"] != nil, row["protocol"]?.string == "stdio" {
            throw .failed(
                "\(server.name) is a program and has no URL; remove it and add the other one")
        }
        var body = changes
        if let rules = body["omni2"], let kept = row["omni2"]?.object {
            // Of the rules, too, what is not named stays as it is.
            var merged = JSONValue.object(kept)
            for (name, value) in rules.object?.members ?? [] { merged[name] = value }
            body["omni2"] = merged
        }
        return try await change(server, body, client)
    }

    private static func change(
        _ server: RegisteredServer, _ body: JSONValue, _ client: Client
    ) async throws(Failure) -> Reply {
        let json = try await client.put(server.path, body)
        return Reply(
            json,
            "\(server.name) is changed; omni2ctl mcp check \(server.name) tells whether it answers."
        )
    }

    private static func changes(_ invocation: Invocation) throws(Failure) -> JSONValue {
        var body: JSONValue = [:]
        if let url = invocation.option("url") { body["url"] = .string(url) }
        if let text = invocation.option("description") { body["description"] = .string(text) }
        if let file = invocation.option("bearer-file") {
            body["auth_type"] = "bearer"
            body["auth_config"] = ["token": .string(try Door.secret(in: file))]
        }
        for (option, member) in [("timeout", "timeout_seconds"), ("retries", "max_retries")] {
            guard let text = invocation.option(option) else { continue }
            body[member] = try People.number(option, text)
        }
        var rules: JSONValue = [:]
        if let policy = invocation.option("cache-policy") {
            rules["cache_policy"] = .string(policy)
        }
        if let tools = invocation.option("cache-tools") { rules["tools"] = People.list(tools) }
        if let text = invocation.option("ttl") {
            rules["ttl"] = Int64(text).map { .int($0) } ?? .string(text)
        }
        if let scope = invocation.option("scope") { rules["scope"] = .string(scope) }
        if rules.object?.isEmpty == false { body["omni2"] = rules }
        return body
    }

    // MARK: The editor

    private static func inEditor(
        _ server: RegisteredServer, _ row: JSONValue, _ client: Client
    ) async throws(Failure) -> Reply {
        guard Console.isOutputTerminal else {
            throw .usage(
                "without a terminal mcp edit needs an option; see omni2ctl mcp edit --help")
        }
        var before: JSONValue = [:]
        for name in members { if let value = row[name], !value.isNull { before[name] = value } }
        client.progress.end()
        let folder = client.environment["TMPDIR"] ?? "/tmp"
        let path = "\(folder)/omni2ctl-\(server.id)-\(Process.id).json"
        defer {
            // One that is left behind holds no secret.
            try? Files.remove(path)
        }
        var text = pretty(before)
        while true {
            let edited = try edit(path, text, client.environment)
            do throws(Failure) {
                return try await apply(edited, before, to: server, client)
            } catch {
                Console.error("omni2ctl: \(error.message)\n")
                guard askAgain() else { throw .failed("nothing is changed") }
                text = edited
            }
        }
    }

    private static func apply(
        _ text: String, _ before: JSONValue, to server: RegisteredServer, _ client: Client
    ) async throws(Failure) -> Reply {
        let after: JSONValue
        do throws(JSONError) {
            after = try JSONValue(parsing: JSONWithComments.plain(Array(text.utf8)))
        } catch {
            throw .failed("this is not JSON: \(error)")
        }
        guard let object = after.object else { throw .failed("this is not a JSON object") }
        for (name, _) in object.members where !members.contains(name) {
            throw .failed("\(name) is none of \(members.joined(separator: ", "))")
        }
        var body: JSONValue = [:]
        for name in members where after[name] != before[name] {
            body[name] = after[name] ?? (name == "omni2" ? [:] : .null)
        }
        if body.object?.isEmpty == true {
            return Reply(["success": true], "\(server.name) is as it was.")
        }
        return try await change(server, body, client)
    }

    private static func edit(
        _ path: String, _ text: String, _ environment: Environment
    ) throws(Failure) -> String {
        let words = (environment["VISUAL"] ?? environment["EDITOR"] ?? "editor")
            .split(separator: " ").map(String.init)
        let edited: [UInt8]
        let status: Int32
        do throws(SystemError) {
            try Files.replace(path, Array(text.utf8), mode: 0o600)
            status = try Foreground.run(words + [path], environment)
        } catch {
            throw .failed(
                "\(words[0]) cannot be run: \(error.message); $EDITOR names the one to use")
        }
        guard status == 0 else {
            throw .failed("\(words[0]) ended with status \(status); nothing is changed")
        }
        do throws(Files.ReadError) {
            edited = try Files.read(path, bytesMax: 1 << 20)
        } catch {
            throw .failed("\(path) cannot be read: \(error)")
        }
        return String(decoding: edited, as: UTF8.self)
    }

    /// A person with an unfinished text gets it back.
    private static func askAgain() -> Bool {
        Console.error("Edit it again? [Y/n] ")
        let answer = readLine(strippingNewline: true) ?? "n"
        return answer.isEmpty || answer.lowercased().hasPrefix("y")
    }

    /// One member on a line.
    private static func pretty(_ value: JSONValue) -> String {
        let lines = (value.object?.members ?? []).map {
            "  \(JSONValue.string($0.name).text): \($0.value.text)"
        }
        return "{\n" + lines.joined(separator: ",\n") + "\n}\n"
    }
}
