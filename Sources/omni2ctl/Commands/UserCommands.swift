import OmniCore
import OmniIO

/// `user …`, `block` and `unblock`.
enum UserCommands {
    @Sendable
    static func list(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let users = try await People.users(client)
        return Reply(.array(users)) { style in
            var table = Table(["NAME", "ROLE", "STATE", "E-MAIL"])
            for user in users {
                table.add([
                    .init(Words.plain(user["username"])), .init(Words.plain(user["role"])),
                    state(user), .init(Words.plain(user["email"])),
                ])
            }
            return table.text(style, nothing: "There are no users; omni2ctl user add says how.")
        }
    }

    private static func state(_ user: JSONValue) -> Table.Cell {
        if user["active"]?.bool != true { return .init("inactive", .dim) }
        return user["is_blocked"]?.bool == true ? .init("blocked", .red) : .init("active", .green)
    }

    @Sendable
    static func show(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let user = try await People.user(invocation[argument: "USER"], client)
        let effective = try await client.get(
            "/api/v1/permissions/\(user["id"]?.int ?? 0)")["permission"]
        let permission = effective ?? .null
        let json: JSONValue = ["user": user, "permission": permission]
        return Reply(json) { style in
            Table.facts(
                [
                    ("Name", .init(Words.plain(user["username"]))),
                    ("Role", .init(Words.plain(user["role"]))), ("State", state(user)),
                    ("E-mail", .init(Words.plain(user["email"]))),
                    ("Servers", .init(words(permission["mcp_access"]))),
                    ("Services", .init(words(permission["omni_services"]))),
                    ("Dashboard", .init(Words.plain(permission["dashboard_access"]))),
                    ("Requests per hour", .init(Words.plain(permission["rate_limit"]))),
                    ("Dollars per day", .init(Words.plain(permission["cost_limit_daily"]))),
                ], style)
        }
    }

    static func words(_ value: JSONValue?) -> String {
        let words = value?.strings ?? []
        return words.isEmpty ? "-" : words.joined(separator: ", ")
    }

    /// What the options say of a user.
    private static func body(_ invocation: Invocation) throws(Failure) -> JSONValue {
        var body: JSONValue = [:]
        if let role = invocation.option("role") { body["role"] = .string(role) }
        if let email = invocation.option("email") { body["email"] = .string(email) }
        if let name = invocation.option("full-name") { body["name"] = .string(name) }
        if let active = invocation.option("active") { body["active"] = .bool(active == "yes") }
        if let limit = invocation.option("rate-limit") {
            body["rate_limit_override"] = try People.number("rate-limit", limit)
        }
        return body
    }

    @Sendable
    static func add(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let name = invocation[argument: "NAME"]
        var body = try body(invocation)
        body["username"] = .string(name)
        guard let role = invocation.option("role") else {
            throw .usage("user add needs --role ROLE; see omni2ctl role list")
        }
        if let file = invocation.option("password-file") {
            body["password"] = .string(try Door.secret(in: file))
        }
        let json = try await client.post("/api/v1/users", body)
        return Reply(
            json,
            "\(name) is added with the role \(role); omni2ctl token create \(name) gives a token.")
    }

    @Sendable
    static func set(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let name = invocation[argument: "USER"]
        let body = try body(invocation)
        let file = invocation.option("password-file")
        guard file != nil || body.object?.isEmpty == false else {
            throw .usage("user set needs an option; see omni2ctl user set --help")
        }
        let user = try await People.user(name, client)
        var json: JSONValue = ["success": true]
        if body.object?.isEmpty == false {
            json = try await client.put(People.path("users", user), body)
        }
        if let file {
            let password: JSONValue = ["password": .string(try Door.secret(in: file))]
            json = try await client.post(
                "\(People.path("users", user))/reset-password", password)
        }
        return Reply(json, "\(name) is changed.")
    }

    @Sendable
    static func remove(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let name = invocation[argument: "USER"]
        let user = try await People.user(name, client)
        return Reply(
            try await client.delete(People.path("users", user)),
            "\(name) is removed, with tokens and sessions.")
    }

    // MARK: Blocks

    private static func blockPath(_ user: JSONValue) -> String {
        "/api/v1/iam/chat-config/users/\(user["id"]?.int ?? 0)/block"
    }

    @Sendable
    static func block(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let name = invocation[argument: "USER"]
        let user = try await People.user(name, client)
        var body: JSONValue = ["is_blocked": true]
        if let services = invocation.option("services") {
            body["blocked_services"] = People.list(services)
        }
        if let message = invocation.option("message") {
            body["custom_block_message"] = .string(message)
        }
        if let reason = invocation.option("reason") { body["block_reason"] = .string(reason) }
        let json = try await client.put(blockPath(user), body)
        return Reply(json, "\(name) is blocked from \(words(json["blocked_services"])).")
    }

    @Sendable
    static func unblock(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let name = invocation[argument: "USER"]
        let user = try await People.user(name, client)
        if user["is_blocked"]?.bool != true {
            return Reply(["success": true], "\(name) is not blocked.")
        }
        let json = try await client.put(blockPath(user), ["is_blocked": false])
        return Reply(json, "\(name) is not blocked any more.")
    }
}
