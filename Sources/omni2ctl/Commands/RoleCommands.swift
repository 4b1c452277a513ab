import OmniCore

/// `role …` and `token …`.
enum RoleCommands {
    @Sendable
    static func list(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let roles = try await client.get("/api/v1/roles")["roles"]?.array ?? []
        return Reply(.array(roles)) { style in
            var table = Table(["NAME", "SERVERS", "SERVICES", "DASHBOARD", "PER HOUR", "PER DAY"])
            for role in roles {
                table.add([
                    .init(Words.plain(role["name"])), .init(UserCommands.words(role["mcp_access"])),
                    .init(UserCommands.words(role["omni_services"])),
                    .init(Words.plain(role["dashboard_access"])),
                    .init(Words.plain(role["rate_limit"])),
                    .init("$" + Words.plain(role["cost_limit_daily"])),
                ])
            }
            return table.text(style, nothing: "There are no roles.")
        }
    }

    private static func body(_ invocation: Invocation) throws(Failure) -> JSONValue {
        var body: JSONValue = [:]
        if let servers = invocation.option("servers") {
            body["mcp_access"] = servers == "none" ? [] : People.list(servers)
        }
        if let tools = invocation.option("tools") {
            body["tool_restrictions"] = try People.json("tools", tools)
        }
        if let services = invocation.option("services") {
            body["omni_services"] = services == "none" ? [] : People.list(services)
        }
        if let access = invocation.option("dashboard") {
            body["dashboard_access"] = .string(access)
        }
        if let limit = invocation.option("rate-limit") {
            body["rate_limit"] = try People.number("rate-limit", limit)
        }
        if let limit = invocation.option("cost-limit") {
            body["cost_limit_daily"] = try People.amount("cost-limit", limit)
        }
        return body
    }

    @Sendable
    static func add(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        var body = try body(invocation)
        let name = invocation[argument: "NAME"]
        body["name"] = .string(name)
        return Reply(try await client.post("/api/v1/roles", body), "The role \(name) is added.")
    }

    @Sendable
    static func set(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let body = try body(invocation)
        guard body.object?.isEmpty == false else {
            throw .usage("role set needs an option; see omni2ctl role set --help")
        }
        let name = invocation[argument: "ROLE"]
        let role = try await People.role(name, client)
        let json = try await client.put(People.path("roles", role), body)
        return Reply(json, "The role \(name) is changed, for everybody who has it.")
    }

    @Sendable
    static func remove(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let name = invocation[argument: "ROLE"]
        let role = try await People.role(name, client)
        return Reply(
            try await client.delete(People.path("roles", role)), "The role \(name) is removed.")
    }

    // MARK: Tokens

    @Sendable
    static func tokens(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        var path = "/api/v1/mcp/tokens"
        if let name = invocation.optional("USER") {
            path += "?user_id=\(try await People.user(name, client)["id"]?.int ?? 0)"
        }
        let tokens = try await client.get(path)["tokens"]?.array ?? []
        return Reply(.array(tokens)) { style in
            var table = Table(["ID", "USER", "NAME", "LAST USED", "EXPIRES"])
            for token in tokens {
                let isExpired = token["expired"]?.bool == true
                table.add([
                    .init(Words.plain(token["id"])), .init(Words.plain(token["username"])),
                    .init(Words.plain(token["name"])), .init(Words.plain(token["last_used_at"])),
                    .init(
                        Words.plain(token["expires_at"]) + (isExpired ? " (expired)" : ""),
                        isExpired ? .red : nil),
                ])
            }
            return table.text(style, nothing: "There are no tokens.")
        }
    }

    @Sendable
    static func createToken(
        _ invocation: Invocation, _ client: Client
    ) async throws(Failure) -> Reply {
        let name = invocation[argument: "USER"]
        let user = try await People.user(name, client)
        var body: JSONValue = ["user_id": user["id"] ?? .null]
        if let label = invocation.option("name") { body["name"] = .string(label) }
        if let days = invocation.option("days") {
            body["expires_in_days"] = try People.number("days", days)
        }
        let json = try await client.post("/api/v1/mcp/tokens", body)
        var reply = Reply(json, Words.plain(json["token"]))
        reply.remark = "Keep it: it cannot be shown again."
        return reply
    }

    @Sendable
    static func revokeToken(
        _ invocation: Invocation, _ client: Client
    ) async throws(Failure) -> Reply {
        let id = invocation[argument: "ID"]
        guard Int64(id) != nil else {
            throw .usage("ID is the number that omni2ctl token list shows, not \(id)")
        }
        return Reply(
            try await client.delete("/api/v1/mcp/tokens/\(id)"),
            "Token \(id) is revoked; what it opened has ended.")
    }
}
