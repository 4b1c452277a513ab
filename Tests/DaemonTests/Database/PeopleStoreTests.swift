import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// What decides access, written and read back, over both engines.
@Suite("PeopleStore")
struct PeopleStoreTests {
    @Test(arguments: StoreEngine.allCases)
    func everythingThatDecidesIsReadAtOnce(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let role = RoleRecord(
                id: 0, name: "r \"1\"", description: "ü", mcpAccess: ["a", "b, c"],
                toolRestrictions: #"{"a": ["x"]}"#, dashboardAccess: "view", rateLimit: 7,
                costLimitDaily: 2.5, tokenExpiry: 60, services: ["mcp"])
            let roleID = try await store.insert(role: role)
            var user = try await store.insert(
                user: NewUser(username: "ann", email: "a@x.org", role: role.name))
            user.isActive = false
            user.rateLimitOverride = 9
            user.name = "Ann"
            try await store.update(user: user)
            let team = TeamRecord(
                id: 0, name: "blue", mcpAccess: ["a"], resourceAccess: "{}", rateLimit: 3,
                costLimit: 1.25)
            let teamID = try await store.insert(team: team)
            let member = TeamMember(teamID: teamID, userID: user.id)
            try await store.insert(member: member)
            try await store.insert(member: member)
            let override = OverrideRecord(
                userID: user.id, mcpRestrictions: ["z"], toolRestrictions: "{}", costLimit: 0.5)
            try await store.write(override: override)
            try await store.setAPIKeyHash(ofUser: user.id, to: "k")
            let session = try await store.insert(
                session: NewSession(userID: user.id, hash: "s", expiresAt: 5_000_000))
            let tables = try await store.accessTables()
            let stored = try #require(tables.roles.first { $0.id == roleID })
            #expect(stored.name == role.name)
            #expect(stored.mcpAccess == role.mcpAccess)
            #expect(stored.services == ["mcp"])
            #expect(stored.costLimitDaily == 2.5)
            #expect(tables.users == [user])
            #expect(tables.teams.map(\.name) == ["blue"])
            #expect(tables.teams.map(\.costLimit) == [1.25])
            #expect(tables.members == [member])
            #expect(tables.overrides == [override])
            #expect(tables.apiKeys.map(\.hash) == ["k"])
            #expect(tables.sessions.map(\.id) == [session])
            #expect(tables.sessions.map(\.expiresAt) == [5_000_000])
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func aUserTakesEverythingAlong(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let user = try await store.insert(user: NewUser(username: "ann", role: "viewer"))
            _ = try await store.insert(token: NewToken(userID: user.id, hash: "t"))
            _ = try await store.insert(
                session: NewSession(userID: user.id, hash: "s", expiresAt: 1))
            let team = try await store.insert(
                team: TeamRecord(id: 0, name: "blue", mcpAccess: [], resourceAccess: "{}"))
            try await store.insert(member: TeamMember(teamID: team, userID: user.id))
            await #expect(throws: StoreError.notFound) {
                try await store.insert(member: TeamMember(teamID: team, userID: 999))
            }
            let viewer = try #require(await store.role(named: "viewer"))
            await #expect(throws: StoreError.conflict("somebody has this role")) {
                try await store.deleteRole(id: viewer.id)
            }
            try await store.deleteUser(id: user.id)
            let tables = try await store.accessTables()
            #expect(tables.users.isEmpty && tables.tokens.isEmpty && tables.sessions.isEmpty)
            #expect(tables.members.isEmpty)
            try await store.deleteRole(id: viewer.id)
            try await store.deleteTeam(id: team)
            await #expect(throws: StoreError.notFound) { try await store.deleteTeam(id: team) }
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func passwordsAndSessionsComeAndGo(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let user = try await store.insert(user: NewUser(username: "ann", role: "viewer"))
            #expect(try await store.passwordHash(ofUser: user.id) == nil)
            try await store.setPasswordHash(ofUser: user.id, to: "$scrypt$x")
            #expect(try await store.passwordHash(ofUser: user.id) == "$scrypt$x")
            await #expect(throws: StoreError.notFound) {
                try await store.passwordHash(ofUser: 999)
            }
            for (hash, end) in [("a", Int64(1000)), ("b", 2_000_000), ("c", 3_000_000)] {
                _ = try await store.insert(
                    session: NewSession(userID: user.id, hash: hash, expiresAt: end))
            }
            try await store.pruneSessions(before: 1_500_000)
            #expect(try await store.accessTables().sessions.map(\.hash) == ["b", "c"])
            try await store.deleteSessions(ofUser: user.id)
            #expect(try await store.accessTables().sessions.isEmpty)
            try await store.touchLogin(ofUser: user.id, at: 5)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func theAuditTrailKeepsWhoWhatAndWhence(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let records = [
                AuditRecord(
                    timestamp: 1_000_001, userID: 4, actor: "ann", action: "role.create",
                    target: "x", outcome: .done, address: "10.0.0.1", requestID: "r"),
                AuditRecord(
                    timestamp: 2_000_000, actor: "unknown", action: "GET", target: "/x",
                    outcome: .denied, reason: "no", repeated: 7),
            ]
            try await store.append(audit: records)
            var read = try await store.audit(limit: 10)
            for index in read.indices { read[index].id = 0 }
            #expect(read == records.reversed())
            #expect(try await store.pruneAudit(before: 1_500_000, limit: 10) == 1)
            #expect(try await store.audit(limit: 10).map(\.actor) == ["unknown"])
            #expect(try await store.costs(since: 0) == [:])
            #expect(try await store.queries(since: 0).count == 0)
            #expect(try await store.activity(limit: 5) == [])
        }
    }
}
