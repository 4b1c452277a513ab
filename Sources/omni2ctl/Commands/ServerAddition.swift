import OmniCore
import OmniIO

/// `mcp add`: the body of a registration out of the options.
enum ServerAddition {
    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let name = invocation[argument: "NAME"]
        let body = try body(invocation)
        guard invocation.option("command") != nil, ServerUnit.areUsed(client.door) else {
            try refuseUnitOptions(invocation)
            let json = try await client.post("/api/v1/mcp/servers", body)
            return Reply(
                json, "\(name) is registered; omni2ctl mcp check \(name) tells whether it answers.")
        }
        let (json, done) = try await addUnit(invocation, body, client)
        return Reply(json) { _ in
            done.map { $0 + "\n" }.joined()
                + "Its log: journalctl -u 'omni2-mcp@\(name)*'. "
                + "omni2ctl mcp check \(name) tells whether it answers.\n"
        }
    }

    /// The unit first: the daemon connects as soon as it knows of the server.
    private static func addUnit(
        _ invocation: Invocation, _ body: JSONValue, _ client: Client
    ) async throws(Failure) -> (JSONValue, [String]) {
        let unit = try ServerUnit(invocation[argument: "NAME"])
        try ServerUnit.requireRoot("mcp add --command")
        let file = try unitFile(invocation, client.environment)
        if try await RegisteredServer.all(client).contains(where: { $0.name == unit.name }) {
            throw .failed(
                "there is a server named \(unit.name); remove it first, or choose another name")
        }
        let done = try unit.install(file, client.environment)
        do throws(Failure) {
            let json = try await client.post("/api/v1/mcp/servers", body)
            return (json, done + ["registered \(unit.name) with the daemon"])
        } catch {
            // A unit that nobody connects to would only puzzle.
            _ = try unit.remove(client.environment)
            throw error
        }
    }

    private static func unitFile(
        _ invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> UnitFile {
        var file = UnitFile(
            program: try UnitFile.find(invocation.option("command") ?? "", environment),
            arguments: invocation.rest)
        file.hasNetwork = invocation.option("network") != nil
        file.environmentFile = invocation.option("environment-file")
        if let path = file.environmentFile, !path.hasPrefix("/") || !Files.exists(path) {
            throw .usage("--environment-file is the whole path of a file, not \(path)")
        }
        file.memoryMax = invocation.option("memory-max")
        file.cpuQuota = invocation.option("cpu-quota")
        try check(file)
        return file
    }

    /// systemd would only warn of them in the journal, and go on without the limit.
    private static func check(_ file: UnitFile) throws(Failure) {
        if let size = file.memoryMax {
            let digits = "KMGT".contains(size.last ?? " ") ? size.dropLast() : size[...]
            guard let count = UInt64(digits), count > 0 else {
                throw .usage("--memory-max is a size such as 256M, not \(size)")
            }
        }
        if let quota = file.cpuQuota {
            guard quota.hasSuffix("%"), let count = UInt32(quota.dropLast()), count > 0 else {
                throw .usage("--cpu-quota is a share of one core such as 50%, not \(quota)")
            }
        }
    }

    private static func refuseUnitOptions(_ invocation: Invocation) throws(Failure) {
        for name in ["network", "environment-file", "memory-max", "cpu-quota"]
        where invocation.option(name) != nil {
            throw .usage(
                "--\(name) is for a --command that becomes a unit, on the host of a daemon that the "
                    + "package installed")
        }
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
