import OmniCore
import OmniIO

/// `/api/v1/mcp/tokens`: opaque tokens. A person has the own ones, an administrator everybody's. The
/// token itself is shown once, when it is made; only its hash is kept.
struct TokenRoutes {
    let context: PeopleContext
    private var store: any AccessStore { context.store }
    /// Tokens of one person.
    private static let tokensMax = 100

    func add(to router: inout Router) {
        for path in ["/api/v1/mcp/tokens", "/api/v1/mcp/tokens/list"] {
            router.on(.get, path, .authenticated, Self.listed) { list($0) }
        }
        for path in ["/api/v1/mcp/tokens", "/api/v1/mcp/tokens/generate"] {
            router.on(.post, path, .authenticated, Self.made) { create($0) }
        }
        router.on(
            .delete, "/api/v1/mcp/tokens/{id}", .authenticated,
            "Revokes a token; what it opened ends at once".described
                .answering(.ok, PeopleSchema.done)
        ) { revoke($0) }
        router.on(
            .post, "/api/v1/mcp/tokens/validate", .administrator,
            "Says whose a token is".described
                .taking(.object(.required("token", .text(.free, 1...1000))))
                .answering(.ok, .reply(.required("valid", .boolean)))
        ) { validate($0) }
    }

    private static let token = JSONSchema.object(
        [
            .required("id", .id), .required("user_id", .id),
            .required("name", .nullable(.shortText)), .required("created_at", .nullable(.time)),
            .required("last_used_at", .nullable(.time)),
            .required("expires_at", .nullable(.time)), .required("expired", .boolean),
        ], isOpen: true)
    private static let listed = "Lists tokens, without what is secret in them".described
        .asking(.number("user_id", 1...Int64(Int32.max), "whose tokens: a user's id"))
        .answering(.ok, .reply(.required("tokens", .list(token, 0...Int.max))))
    private static let made = "Makes a token; this answer alone shows it".described
        .taking(
            .object(
                .optional("user_id", .id), .optional("name", .nullable(.shortText)),
                .optional(
                    "expires_in_days", .nullable(.integer(1...36_500))),
                .optional("expires_in_seconds", .nullable(.integer(1...3_153_600_000)))),
            optional: true
        ).answering(
            .created,
            .reply(
                .required("token", .text(.visibleASCII, 20...200)), .required("id", .id),
                .required("user_id", .id)))

    /// Whose tokens the caller means and may handle; answers itself when it may not.
    private func owner(_ call: Router.Call, _ wanted: Int?) -> Person? {
        guard let id = wanted ?? call.principal.userID else {
            call.fail(.badRequest, "user_id is missing: this credential belongs to no user.")
            return nil
        }
        guard call.principal.isAdministrator || id == call.principal.userID else {
            call.fail(.forbidden, "These are another user's tokens.")
            return nil
        }
        if let person = context.snapshot.person(id) { return person }
        call.fail(.badRequest, "There is no user with the id \(id).")
        return nil
    }

    private func json(_ token: TokenRecord) -> JSONValue {
        let person = context.snapshot.person(token.userID)
        return [
            "id": JSONValue(token.id), "user_id": JSONValue(token.userID),
            "username": JSONValue(person?.user.username), "name": JSONValue(token.name),
            "created_at": Timestamp.json(token.createdAt),
            "last_used_at": Timestamp.json(token.lastUsedAt),
            "expires_at": Timestamp.json(token.expiresAt),
            "expired": .bool((token.expiresAt ?? .max) <= context.access.now),
        ]
    }

    private func list(_ call: Router.Call) {
        let wanted = call.request.query("user_id").flatMap { Int($0) }
        var user: Int?
        if wanted != nil || !call.principal.isAdministrator {
            guard let person = owner(call, wanted) else { return }
            user = person.id
        }
        context.run(call, "token") { () async throws(StoreError) in
            let tokens = try await store.tokens(ofUser: user)
            call.respond(
                HTTPResponse(json: ["success": true, "tokens": .array(tokens.map(json))]))
        }
    }

    private func create(_ call: Router.Call) {
        let body = call.body
        guard let person = owner(call, body["user_id"]?.int.map { Int($0) }) else { return }
        let count = context.snapshot.tables.tokens.count { $0.userID == person.id }
        guard count < Self.tokensMax else {
            return call.fail(
                .conflict, "A user has at most \(Self.tokensMax) tokens; revoke some first.")
        }
        let text = SecretText.make(SecretText.tokenPrefix)
        let seconds =
            body["expires_in_seconds"]?.int ?? body["expires_in_days"]?.int.map { $0 * 86_400 }
        let new = NewToken(
            userID: person.id, hash: SecretHash(of: text).hexadecimal,
            name: body["name"]?.string,
            expiresAt: seconds.map { context.access.now + $0 * 1_000_000 })
        context.run(call, "user") { () async throws(StoreError) in
            let token = try await store.insert(token: new)
            try await context.settle(
                call, "token.create", "\(person.user.username)/\(token.name ?? "\(token.id)")")
            var value = json(token)
            value["success"] = true
            value["token"] = .string(text)
            call.respond(HTTPResponse(.created, json: value))
        }
    }

    private func revoke(_ call: Router.Call) {
        guard let id = call.rowID("token") else { return }
        let entry = context.snapshot.tables.tokens.first { $0.id == id }
        // Another's token is not there for somebody who may not handle it.
        guard let entry, call.principal.isAdministrator || entry.userID == call.principal.userID
        else { return call.fail(.notFound, "There is no token with this id.") }
        context.run(call, "token") { () async throws(StoreError) in
            try await store.deleteToken(id: id)
            let owner = context.snapshot.person(entry.userID)?.user.username ?? "?"
            try await context.settle(call, "token.revoke", "\(owner)/\(id)")
            call.done("The token is revoked.")
        }
    }

    private func validate(_ call: Router.Call) {
        guard let text = call.body["token"]?.string else { return }
        let entry = context.snapshot.token(SecretHash(of: text))
        guard let entry, entry.isValid(at: context.access.now), entry.person.user.isActive else {
            return call.respond(HTTPResponse(json: ["success": true, "valid": false]))
        }
        let (user, permission) = (entry.person.user, entry.person.permission)
        call.respond(
            HTTPResponse(json: [
                "success": true, "valid": true, "user_id": JSONValue(user.id),
                "username": .string(user.username), "email": JSONValue(user.email),
                "role": JSONValue(user.role),
                "mcp_access": permission.items.servers.names.map { JSONValue($0) } ?? ["*"],
                "tool_restrictions": permission.items.restrictions.json,
                "omni_services": JSONValue(permission.services.map(\.rawValue).sorted()),
            ]))
    }
}
