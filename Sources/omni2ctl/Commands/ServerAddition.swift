import OmniCore

/// `mcp add`: the body of a registration out of the options.
enum ServerAddition {
    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let name = invocation[argument: "NAME"]
        let json = try await client.post("/api/v1/mcp/servers", try body(invocation))
        return Reply(
            json, "\(name) is registered; omni2ctl mcp check \(name) tells whether it answers.")
    }

    private static func body(_ invocation: Invocation) throws(Failure) -> JSONValue {
        var body: JSONValue = ["name": .string(invocation[argument: "NAME"])]
        switch (invocation.option("url"), invocation.option("command")) {
        case (let url?, nil):
            guard invocation.rest.isEmpty else {
                throw .usage("arguments after -- are for --command, not for --url")
            }
            body["url"] = .string(url)
            body["protocol"] = "http-streamable"
        case (nil, let command?):
            body["command"] = .string(command)
            body["args"] = JSONValue(invocation.rest)
        case (nil, nil): throw .usage("--url URL or --command CMD is needed")
        case (_?, _?): throw .usage("--url and --command are two servers; leave one out")
        }
        if let file = invocation.option("bearer-file") {
            guard invocation.option("url") != nil else {
                throw .usage("--bearer-file goes with --url; a command reads its own secrets")
            }
            body["auth_type"] = "bearer"
            body["auth_config"] = ["token": .string(try Door.secret(in: file))]
        }
        if let rules = try cacheRules(invocation) { body["omni2"] = rules }
        return body
    }

    private static func cacheRules(_ invocation: Invocation) throws(Failure) -> JSONValue? {
        guard let policy = invocation.option("cache-policy") else {
            for name in ["ttl", "scope", "cache-tools"] where invocation.option(name) != nil {
                throw .usage("--\(name) needs --cache-policy listed or read_only")
            }
            return nil
        }
        var rules: JSONValue = ["cache_policy": .string(policy)]
        if let text = invocation.option("ttl") {
            rules["ttl"] = Int64(text).map { .int($0) } ?? .string(text)
        }
        if let scope = invocation.option("scope") { rules["scope"] = .string(scope) }
        let tools = invocation.option("cache-tools")?.split(separator: ",").map(String.init)
        guard (policy == "listed") == (tools != nil) else {
            throw .usage("--cache-policy listed and --cache-tools A,B go together")
        }
        if let tools { rules["tools"] = JSONValue(tools) }
        return rules
    }
}
