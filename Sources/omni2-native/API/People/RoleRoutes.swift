import OmniCore
import OmniIO

/// `/api/v1/roles` and `/api/v1/teams`.
struct RoleRoutes {
    let context: PeopleContext
    private var store: any AccessStore { context.store }

    func add(to router: inout Router) {
        router.on(
            .get, "/api/v1/roles", .administrator,
            "Lists the roles".described.answering(
                .ok, .reply(.required("roles", .list(PeopleSchema.role, 0...Int.max))))
        ) { list($0) }
        router.on(
            .post, "/api/v1/roles", .administrator,
            "Adds a role".described.taking(Self.body(isNew: true))
                .answering(.created, .reply(.required("role", PeopleSchema.role)))
        ) { create($0) }
        router.on(
            .get, "/api/v1/roles/{id}", .administrator,
            "Shows a role".described.answering(
                .ok, .reply(.required("role", PeopleSchema.role)))
        ) { show($0) }
        router.on(
            .put, "/api/v1/roles/{id}", .administrator,
            "Changes a role; what is left out stays".described.taking(Self.body(isNew: false))
                .answering(.ok, .reply(.required("role", PeopleSchema.role)))
        ) { change($0) }
        router.on(
            .delete, "/api/v1/roles/{id}", .administrator,
            "Deletes a role that nobody has".described.answering(.ok, PeopleSchema.done)
        ) { remove($0) }
    }

    private static func body(isNew: Bool) -> JSONSchema {
        .object(
            [
                JSONSchema.Member("name", PeopleSchema.name, isRequired: isNew),
                .optional("description", .nullable(.longText)),
                .optional("mcp_access", PeopleSchema.servers),
                .optional("tool_restrictions", PeopleSchema.restrictions),
                .optional("dashboard_access", .word(["admin", "operate", "view", "none"])),
                .optional("rate_limit", .integer(0...1_000_000_000)),
                .optional("cost_limit_daily", .number(0...10_000_000)),
                .optional("token_expiry", .integer(60...31_536_000)),
                .optional("omni_services", PeopleSchema.services),
            ], isOpen: false)
    }

    static func json(_ role: RoleRecord) -> JSONValue {
        [
            "id": JSONValue(role.id), "name": .string(role.name),
            "description": JSONValue(role.description), "mcp_access": JSONValue(role.mcpAccess),
            "tool_restrictions": .parsed(role.toolRestrictions),
            "dashboard_access": .string(role.dashboardAccess),
            "rate_limit": JSONValue(role.rateLimit),
            "cost_limit_daily": .double(role.costLimitDaily),
            "token_expiry": JSONValue(role.tokenExpiry),
            "omni_services": role.services.map { JSONValue($0) } ?? .null,
        ]
    }

    private func role(_ call: Router.Call) -> RoleRecord? {
        guard let id = call.rowID("role") else { return nil }
        if let role = context.snapshot.tables.roles.first(where: { $0.id == id }) { return role }
        call.fail(.notFound, "There is no role with this id.")
        return nil
    }

    private func list(_ call: Router.Call) {
        let roles = context.snapshot.tables.roles.map(Self.json)
        call.respond(HTTPResponse(json: ["success": true, "roles": .array(roles)]))
    }

    private func show(_ call: Router.Call) {
        guard let role = role(call) else { return }
        call.respond(HTTPResponse(json: ["success": true, "role": Self.json(role)]))
    }

    private func applied(_ body: JSONValue, to role: RoleRecord) -> RoleRecord {
        var role = role
        role.name = body["name"]?.string ?? role.name
        if let value = body["description"] { role.description = value.string }
        role.mcpAccess = body["mcp_access"]?.strings ?? role.mcpAccess
        role.toolRestrictions = body["tool_restrictions"]?.text ?? role.toolRestrictions
        role.dashboardAccess = body["dashboard_access"]?.string ?? role.dashboardAccess
        role.rateLimit = body["rate_limit"]?.int.map { Int($0) } ?? role.rateLimit
        role.costLimitDaily = body["cost_limit_daily"]?.double ?? role.costLimitDaily
        role.tokenExpiry = body["token_expiry"]?.int.map { Int($0) } ?? role.tokenExpiry
        role.services = body["omni_services"]?.strings ?? role.services
        return role
    }

    private static let blank = RoleRecord(
        id: 0, name: "", mcpAccess: [], toolRestrictions: "{}", dashboardAccess: "none",
        rateLimit: 100, costLimitDaily: 10, tokenExpiry: 3600, services: ["chat", "mcp"])

    private func create(_ call: Router.Call) {
        var role = applied(call.body, to: Self.blank)
        context.run(call, "role") { () async throws(StoreError) in
            role.id = try await store.insert(role: role)
            try await context.settle(call, "role.create", role.name)
            call.respond(
                HTTPResponse(.created, json: ["success": true, "role": Self.json(role)]))
        }
    }

    private func change(_ call: Router.Call) {
        guard let role = role(call) else { return }
        let changed = applied(call.body, to: role)
        guard role.name != AccessRules.superAdministrator || changed.name == role.name else {
            return call.fail(.conflict, "super_admin keeps its name.")
        }
        context.run(call, "role") { () async throws(StoreError) in
            try await store.update(role: changed)
            try await context.settle(call, "role.change", changed.name)
            call.respond(HTTPResponse(json: ["success": true, "role": Self.json(changed)]))
        }
    }

    private func remove(_ call: Router.Call) {
        guard let role = role(call) else { return }
        guard role.name != AccessRules.superAdministrator else {
            return call.fail(.conflict, "super_admin cannot be deleted.")
        }
        context.run(call, "role") { () async throws(StoreError) in
            try await store.deleteRole(id: role.id)
            try await context.settle(call, "role.delete", role.name)
            call.done("Role \(role.name) is deleted.")
        }
    }
}

/// `/api/v1/teams`: what a team's members may use is what role and teams both have.
struct TeamRoutes {
    let context: PeopleContext
    private var store: any AccessStore { context.store }

    func add(to router: inout Router) {
        let one = JSONSchema.reply(.required("team", PeopleSchema.team))
        router.on(
            .get, "/api/v1/teams", .administrator,
            "Lists the teams".described.answering(
                .ok, .reply(.required("teams", .list(PeopleSchema.team, 0...Int.max))))
        ) { list($0) }
        router.on(
            .post, "/api/v1/teams", .administrator,
            "Adds a team".described.taking(Self.body(isNew: true)).answering(.created, one)
        ) { create($0) }
        router.on(
            .get, "/api/v1/teams/{id}", .administrator,
            "Shows a team".described.answering(.ok, one)
        ) { show($0) }
        router.on(
            .put, "/api/v1/teams/{id}", .administrator,
            "Changes a team; what is left out stays".described.taking(Self.body(isNew: false))
                .answering(.ok, one)
        ) { change($0) }
        router.on(
            .delete, "/api/v1/teams/{id}", .administrator,
            "Deletes a team".described.answering(.ok, PeopleSchema.done)
        ) { remove($0) }
        router.on(
            .put, "/api/v1/teams/{id}/members/{user_id}", .administrator,
            "Takes a user into a team".described.answering(.ok, one)
        ) { join($0) }
        router.on(
            .delete, "/api/v1/teams/{id}/members/{user_id}", .administrator,
            "Takes a user out of a team".described.answering(.ok, one)
        ) { leave($0) }
    }

    private static func body(isNew: Bool) -> JSONSchema {
        .object(
            [
                JSONSchema.Member("name", .text(.printable, 1...100), isRequired: isNew),
                .optional("description", .nullable(.longText)),
                .optional("mcp_access", PeopleSchema.servers),
                .optional("resource_access", .map(.any)),
                .optional("team_rate_limit", PeopleSchema.rate),
                .optional("team_cost_limit", PeopleSchema.dollars),
            ], isOpen: false)
    }

    private func json(_ team: TeamRecord) -> JSONValue {
        let members = context.snapshot.tables.members.filter { $0.teamID == team.id }
        return [
            "id": JSONValue(team.id), "name": .string(team.name),
            "description": JSONValue(team.description), "mcp_access": JSONValue(team.mcpAccess),
            "resource_access": .parsed(team.resourceAccess),
            "team_rate_limit": team.rateLimit.map { JSONValue($0) } ?? .null,
            "team_cost_limit": team.costLimit.map { .double($0) } ?? .null,
            "members": .array(members.map { JSONValue($0.userID) }),
        ]
    }

    private func team(_ call: Router.Call) -> TeamRecord? {
        guard let id = call.rowID("team") else { return nil }
        if let team = context.snapshot.tables.teams.first(where: { $0.id == id }) { return team }
        call.fail(.notFound, "There is no team with this id.")
        return nil
    }

    private func list(_ call: Router.Call) {
        let teams = context.snapshot.tables.teams.map(json)
        call.respond(HTTPResponse(json: ["success": true, "teams": .array(teams)]))
    }

    private func show(_ call: Router.Call) {
        guard let team = team(call) else { return }
        respond(call, team)
    }

    private func respond(
        _ call: Router.Call, _ team: TeamRecord, _ status: HTTPStatus = .ok
    ) {
        call.respond(HTTPResponse(status, json: ["success": true, "team": json(team)]))
    }

    private func applied(_ body: JSONValue, to team: TeamRecord) -> TeamRecord {
        var team = team
        team.name = body["name"]?.string ?? team.name
        if let value = body["description"] { team.description = value.string }
        team.mcpAccess = body["mcp_access"]?.strings ?? team.mcpAccess
        team.resourceAccess = body["resource_access"]?.text ?? team.resourceAccess
        if let value = body["team_rate_limit"] { team.rateLimit = value.int.map { Int($0) } }
        if let value = body["team_cost_limit"] { team.costLimit = value.double }
        return team
    }

    private func create(_ call: Router.Call) {
        var team = applied(
            call.body, to: TeamRecord(id: 0, name: "", mcpAccess: [], resourceAccess: "{}"))
        context.run(call, "team") { () async throws(StoreError) in
            team.id = try await store.insert(team: team)
            try await context.settle(call, "team.create", team.name)
            respond(call, team, .created)
        }
    }

    private func change(_ call: Router.Call) {
        guard let team = team(call) else { return }
        let changed = applied(call.body, to: team)
        context.run(call, "team") { () async throws(StoreError) in
            try await store.update(team: changed)
            try await context.settle(call, "team.change", changed.name)
            respond(call, changed)
        }
    }

    private func remove(_ call: Router.Call) {
        guard let team = team(call) else { return }
        context.run(call, "team") { () async throws(StoreError) in
            try await store.deleteTeam(id: team.id)
            try await context.settle(call, "team.delete", team.name)
            call.done("Team \(team.name) is deleted.")
        }
    }

    private func join(_ call: Router.Call) {
        guard let team = team(call), let user = call.rowID("user", "user_id") else { return }
        context.run(call, "user") { () async throws(StoreError) in
            try await store.insert(member: TeamMember(teamID: team.id, userID: user))
            try await context.settle(call, "team.join", "\(team.name)/\(user)")
            respond(call, team)
        }
    }

    private func leave(_ call: Router.Call) {
        guard let team = team(call), let user = call.rowID("user", "user_id") else { return }
        context.run(call, "member") { () async throws(StoreError) in
            try await store.delete(member: TeamMember(teamID: team.id, userID: user))
            try await context.settle(call, "team.leave", "\(team.name)/\(user)")
            respond(call, team)
        }
    }
}
