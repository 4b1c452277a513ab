import OmniCore
import OmniIO

/// `/api/v1/iam/chat-config/users/{id}/block`, as the original has it, and
/// `/api/v1/users/{id}/override`: what is taken from one person.
struct BlockRoutes {
    let context: PeopleContext
    private var store: any AccessStore { context.store }

    func add(to router: inout Router) {
        let path = "/api/v1/iam/chat-config/users/{id}/block"
        router.on(
            .get, path, .administrator,
            "Shows whether a user is blocked".described
                .answering(.ok, .object([.required("is_blocked", .boolean)], isOpen: true))
        ) { show($0) }
        router.on(.put, path, .administrator, Self.blocking) { put($0) }
        router.on(
            .get, "/api/v1/blocks", .administrator,
            "Lists everybody who is blocked".described
                .answering(.ok, .reply(.required("blocks", .list(.map(.any), 0...Int.max))))
        ) { list($0) }
        let override = "/api/v1/users/{id}/override"
        router.on(
            .get, override, .administrator,
            "Shows what is taken from a user beyond role and teams".described
                .answering(.ok, .reply(.required("override", .nullable(.map(.any)))))
        ) { showOverride($0) }
        router.on(.put, override, .administrator, Self.overriding) { putOverride($0) }
        router.on(
            .delete, override, .administrator,
            "Gives a user back what the override took".described
                .answering(.ok, PeopleSchema.done)
        ) { deleteOverride($0) }
    }

    private static let blocking = "Blocks a user, or lifts the block".described
        .explained(
            "Sessions of the user end at once. Without blocked_services both chat and mcp are "
                + "blocked; custom_block_message is what the user is told."
        )
        .taking(
            .object(
                .required("is_blocked", .boolean),
                .optional("block_reason", .nullable(.longText)),
                .optional("custom_block_message", .nullable(.longText)),
                .optional("blocked_services", PeopleSchema.services))
        ).answering(.ok, .object([.required("is_blocked", .boolean)], isOpen: true))

    private static let overriding = "Takes servers, tools or limits from one user".described
        .taking(
            .object(
                .optional("mcp_restrictions", PeopleSchema.servers),
                .optional("tool_restrictions", PeopleSchema.restrictions),
                .optional("custom_rate_limit", PeopleSchema.rate),
                .optional("custom_cost_limit", PeopleSchema.dollars))
        ).answering(.ok, .reply(.required("override", .map(.any))))

    // MARK: Blocks

    static func json(_ block: UserBlock?, of user: Int) -> JSONValue {
        guard let block, block.isBlocked else {
            return [
                "success": true, "user_id": JSONValue(user), "is_blocked": false,
                "block_reason": .null, "custom_block_message": .null, "blocked_at": .null,
                "blocked_by": .null, "blocked_services": [],
            ]
        }
        return [
            "success": true, "user_id": JSONValue(user), "is_blocked": true,
            "block_reason": JSONValue(block.reason),
            "custom_block_message": JSONValue(block.message),
            "blocked_at": Timestamp.json(block.blockedAt),
            "blocked_by": block.blockedBy.map { JSONValue($0) } ?? .null,
            "blocked_services": JSONValue(block.services),
        ]
    }

    private func list(_ call: Router.Call) {
        let blocks = context.snapshot.tables.blocks.filter(\.isBlocked).map {
            Self.json($0, of: $0.userID)
        }
        call.respond(HTTPResponse(json: ["success": true, "blocks": .array(blocks)]))
    }

    private func show(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        call.respond(HTTPResponse(json: Self.json(person.block, of: person.id)))
    }

    private func put(_ call: Router.Call) {
        guard let person = context.person(call), let isBlocked = call.body["is_blocked"]?.bool
        else { return }
        context.run(call, "user") { () async throws(StoreError) in
            if isBlocked {
                try await store.write(block: block(person, call))
            } else if person.block != nil {
                try await store.deleteBlock(ofUser: person.id)
            }
            try await context.settle(
                call, isBlocked ? "user.block" : "user.unblock", person.user.username)
            if isBlocked {
                context.blocked(block(person, call))
                context.log.notice(
                    "\(person.user.username) is blocked", id: .userBlocked,
                    fields: ["user_id": person.principalID, "by": call.principal.name])
            }
            let now = context.snapshot.person(person.id)?.block
            call.respond(HTTPResponse(json: Self.json(now, of: person.id)))
        }
    }

    private func block(_ person: Person, _ call: Router.Call) -> UserBlock {
        UserBlock(
            userID: person.id, reason: call.body["block_reason"]?.string,
            message: call.body["custom_block_message"]?.string, blockedAt: context.access.now,
            blockedBy: call.principal.userID,
            services: call.body["blocked_services"]?.strings ?? ["chat", "mcp"])
    }

    // MARK: Overrides

    private func json(_ override: OverrideRecord?) -> JSONValue {
        guard let override else { return .null }
        return [
            "mcp_restrictions": JSONValue(override.mcpRestrictions),
            "tool_restrictions": .parsed(override.toolRestrictions),
            "custom_rate_limit": override.rateLimit.map { JSONValue($0) } ?? .null,
            "custom_cost_limit": override.costLimit.map { .double($0) } ?? .null,
        ]
    }

    private func override(of user: Int) -> OverrideRecord? {
        context.snapshot.tables.overrides.first { $0.userID == user }
    }

    private func showOverride(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        call.respond(
            HTTPResponse(json: ["success": true, "override": json(override(of: person.id))]))
    }

    private func putOverride(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        let body = call.body
        let record = OverrideRecord(
            userID: person.id, mcpRestrictions: body["mcp_restrictions"]?.strings ?? [],
            toolRestrictions: body["tool_restrictions"]?.text ?? "{}",
            rateLimit: body["custom_rate_limit"]?.int.map { Int($0) },
            costLimit: body["custom_cost_limit"]?.double)
        context.run(call, "user") { () async throws(StoreError) in
            try await store.write(override: record)
            try await context.settle(call, "user.override", person.user.username)
            call.respond(HTTPResponse(json: ["success": true, "override": json(record)]))
        }
    }

    private func deleteOverride(_ call: Router.Call) {
        guard let person = context.person(call) else { return }
        context.run(call, "override") { () async throws(StoreError) in
            try await store.deleteOverride(ofUser: person.id)
            try await context.settle(call, "user.override-lift", person.user.username)
            call.done("Nothing is taken from \(person.user.username) any more.")
        }
    }
}

extension JSONValue {
    /// A column's text; what is no JSON is shown as the text it is.
    static func parsed(_ text: String) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue(parsing: text)
        } catch {
            return .string(text)
        }
    }
}
