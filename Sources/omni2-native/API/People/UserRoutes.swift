import OmniCore
import OmniIO

/// `/api/v1/users`: people, their passwords, keys, overrides and blocks; what they may do.
struct UserRoutes {
    let context: PeopleContext
    private var access: Access { context.access }
    private var store: any AccessStore { context.store }

    func add(to router: inout Router) {
        router.on(.get, "/api/v1/users", .administrator, Self.listed) { list($0) }
        router.on(.post, "/api/v1/users", .administrator, Self.created) { create($0) }
        router.on(.get, "/api/v1/users/{id}", .administrator, Self.shown) { show($0) }
        router.on(.put, "/api/v1/users/{id}", .administrator, Self.changed) { change($0) }
        router.on(
            .delete, "/api/v1/users/{id}", .administrator,
            "Deletes a user with tokens, sessions and memberships".described
                .answering(.ok, PeopleSchema.done)
        ) { remove($0) }
        router.on(
            .post, "/api/v1/users/{id}/reset-password", .administrator,
            "Sets a user's password and ends the user's sessions".described
                .taking(.object(.required("password", Self.password)))
                .answering(.ok, PeopleSchema.done)
        ) { setPassword($0) }
        router.on(
            .post, "/api/v1/users/{id}/api-key", .administrator,
            "Gives a user a new API key for logging in; the old one is void".described
                .answering(.created, .reply(.required("api_key", .text(.visibleASCII, 0...200))))
        ) { giveKey($0) }
        router.on(
            .delete, "/api/v1/users/{id}/api-key", .administrator,
            "Takes a user's API key away".described.answering(.ok, PeopleSchema.done)
        ) { takeKey($0) }
        router.on(
            .get, "/api/v1/usage", .administrator,
            "Says what everybody has used of their limits".described
                .answering(.ok, .reply(.required("usage", .list(.map(.any), 0...Int.max))))
        ) { usage($0) }
        router.on(
            .get, "/api/v1/permissions/{id}", .administrator,
            "Shows what a user may do, all things considered".described
                .answering(.ok, .reply(.required("permission", .map(.any))))
        ) { permission($0) }
        router.on(
            .get, "/api/v1/permissions/check/{id}/{mcp}/{tool}", .administrator,
            "Says whether a user may call one tool".described
                .answering(.ok, .reply(.required("allowed", .boolean)))
        ) { check($0) }
    }

    private static let password = JSONSchema.text(.free, 12...200)

    private static let listed = "Lists people".described.answering(
        .ok, .reply(.required("users", .list(PeopleSchema.person, 0...Int.max))))
    private static let shown = "Shows a user".described.answering(
        .ok, .reply(.required("user", PeopleSchema.person)))
    private static let created = "Adds a user".described
        .taking(
            .object(
                .required("username", .text(.printable, 1...100)),
                .required("role", PeopleSchema.name),
                .optional("name", .nullable(.shortText)),
                .optional("email", .nullable(.shortText)),
                .optional("password", password), .optional("active", .boolean),
                .optional("rate_limit_override", PeopleSchema.rate))
        ).answering(.created, .reply(.required("user", PeopleSchema.person)))
    private static let changed = "Changes a user; what is left out stays".described
        .taking(
            .object(
                .optional("username", .text(.printable, 1...100)),
                .optional("role", PeopleSchema.name),
                .optional("name", .nullable(.shortText)),
                .optional("email", .nullable(.shortText)), .optional("active", .boolean),
                .optional("rate_limit_override", PeopleSchema.rate))
        ).answering(.ok, .reply(.required("user", PeopleSchema.person)))

    // MARK: Rows

    static func json(_ person: Person) -> JSONValue {
        let user = person.user
        return [
            "id": JSONValue(user.id), "username": .string(user.username),
            "name": JSONValue(user.name), "email": JSONValue(user.email),
            "role": JSONValue(user.role), "active": .bool(user.isActive),
            "rate_limit_override": user.rateLimitOverride.map { JSONValue($0) } ?? .null,
            "is_blocked": .bool(person.block?.isBlocked ?? false),
        ]
    }

    private func list(_ call: Router.Call) {
        let people = context.snapshot.tables.users.compactMap { context.snapshot.person($0.id) }
        call.respond(
            HTTPResponse(json: ["success": true, "users": .array(people.map(Self.json))]))
    }

    private func show(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        call.respond(HTTPResponse(json: ["success": true, "user": Self.json(person)]))
    }

    private func respond(_ call: Router.Call, _ status: HTTPStatus, _ id: Int) {
        guard let person = context.snapshot.person(id) else {
            return call.fail(.conflict, "Somebody deleted this user meanwhile.")
        }
        call.respond(HTTPResponse(status, json: ["success": true, "user": Self.json(person)]))
    }

    private func create(_ call: Router.Call) {
        let body = call.body
        guard let username = body["username"]?.string, let role = role(call, body["role"]?.string)
        else { return }
        let password = body["password"]?.string
        context.run(call, "user") { () async throws(StoreError) in
            let hash: String? =
                if let password {
                    await context.io.offload { PasswordHash.make(password) }
                } else { nil }
            var user = try await store.insert(
                user: NewUser(
                    username: username, name: body["name"]?.string, email: body["email"]?.string,
                    role: role))
            user.isActive = body["active"]?.bool ?? true
            user.rateLimitOverride = body["rate_limit_override"]?.int.map { Int($0) }
            if !user.isActive || user.rateLimitOverride != nil {
                try await store.update(user: user)
            }
            if let hash { try await store.setPasswordHash(ofUser: user.id, to: hash) }
            try await context.settle(call, "user.create", username)
            respond(call, .created, user.id)
        }
    }

    /// Answers 400 itself for a role that does not exist.
    private func role(_ call: Router.Call, _ name: String?) -> String? {
        if let name, context.snapshot.permission(ofRole: name) != nil { return name }
        call.fail(.badRequest, "There is no role named \(name ?? "").")
        return nil
    }

    private func change(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        let body = call.body
        var user = person.user
        if let name = body["role"]?.string {
            guard let role = role(call, name) else { return }
            user.role = role
        }
        guard user.role != nil else {
            return call.fail(.badRequest, "This user has no role; give one.")
        }
        user.username = body["username"]?.string ?? user.username
        if let value = body["name"] { user.name = value.string }
        if let value = body["email"] { user.email = value.string }
        user.isActive = body["active"]?.bool ?? user.isActive
        if let value = body["rate_limit_override"] {
            user.rateLimitOverride = value.int.map { Int($0) }
        }
        context.run(call, "user") { () async throws(StoreError) in
            try await store.update(user: user)
            try await context.settle(call, "user.change", user.username)
            respond(call, .ok, user.id)
        }
    }

    private func remove(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        context.run(call, "user") { () async throws(StoreError) in
            try await store.deleteUser(id: person.id)
            try await context.settle(call, "user.delete", person.user.username)
            call.done("User \(person.user.username) is deleted.")
        }
    }

    // MARK: Secrets

    private func setPassword(_ call: Router.Call) {
        guard let person = context.person(call), let password = call.body["password"]?.string
        else { return }
        context.run(call, "user") { () async throws(StoreError) in
            let hash = await context.io.offload { PasswordHash.make(password) }
            try await store.setPasswordHash(ofUser: person.id, to: hash)
            try await store.deleteSessions(ofUser: person.id)
            try await context.settle(call, "user.password", person.user.username)
            call.done("The password of \(person.user.username) is set.")
        }
    }

    private func giveKey(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        let key = SecretText.make(SecretText.keyPrefix)
        context.run(call, "user") { () async throws(StoreError) in
            try await store.setAPIKeyHash(
                ofUser: person.id, to: SecretHash(of: key).hexadecimal)
            try await context.settle(call, "user.api-key", person.user.username)
            call.respond(
                HTTPResponse(.created, json: ["success": true, "api_key": .string(key)]))
        }
    }

    private func takeKey(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        context.run(call, "user") { () async throws(StoreError) in
            try await store.setAPIKeyHash(ofUser: person.id, to: nil)
            try await context.settle(call, "user.api-key-revoke", person.user.username)
            call.done("\(person.user.username) has no API key any more.")
        }
    }

    // MARK: Permission

    static func json(_ permission: Permission) -> JSONValue {
        [
            "mcp_access": permission.items.servers.names.map { JSONValue($0) } ?? ["*"],
            "mcp_denied": JSONValue(permission.items.servers.deniedNames),
            "tool_restrictions": permission.items.restrictions.json,
            "omni_services": JSONValue(permission.services.map(\.rawValue).sorted()),
            "dashboard_access": .string(permission.dashboard.rawValue),
            "rate_limit": permission.requestsPerHour.map { JSONValue($0) } ?? .null,
            "cost_limit_daily": permission.costPerDay.map { .double($0) } ?? .null,
        ]
    }

    static func json(_ usage: Access.Usage) -> JSONValue {
        [
            "requests_last_hour": JSONValue(usage.requests),
            "rate_limit": usage.requestsLimit.map { JSONValue($0) } ?? .null,
            "cost_today": .double(usage.costUsed),
            "cost_limit_daily": usage.costLimit.map { .double($0) } ?? .null,
        ]
    }

    private func usage(_ call: Router.Call) {
        let rows = context.snapshot.tables.users.compactMap { user -> JSONValue? in
            guard let person = context.snapshot.person(user.id) else { return nil }
            var row = Self.json(access.usage(of: person.principal(.none)))
            row["user_id"] = JSONValue(user.id)
            return row
        }
        call.respond(HTTPResponse(json: ["success": true, "usage": .array(rows)]))
    }

    private func permission(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        call.respond(
            HTTPResponse(json: [
                "success": true, "user_id": JSONValue(person.id),
                "role": JSONValue(person.user.role), "permission": Self.json(person.permission),
            ]))
    }

    private func check(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        let isAllowed =
            person.user.isActive && person.block(from: .mcp) == nil
            && person.permission.services.contains(.mcp)
            && person.permission.items.mayCall(tool: call["tool"], on: call["mcp"])
        call.respond(
            HTTPResponse(json: [
                "success": true, "user_id": JSONValue(person.id), "mcp": .string(call["mcp"]),
                "tool": .string(call["tool"]), "allowed": .bool(isAllowed),
            ]))
    }
}

extension Router.Call {
    func done(_ message: String) {
        respond(HTTPResponse(json: ["success": true, "message": .string(message)]))
    }
}
