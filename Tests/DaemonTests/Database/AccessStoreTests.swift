import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// What `AccessStore` promises, over both engines.
@Suite("AccessStore")
struct AccessStoreTests {
    @Test(arguments: StoreEngine.allCases)
    func aFreshDatabaseHasTheFourRoles(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let roles = try await store.roles()
            #expect(roles.map(\.name) == ["super_admin", "developer", "analyst", "viewer"])
            let admin = try #require(await store.role(named: "super_admin"))
            #expect(admin == roles[0])
            #expect(admin.mcpAccess == ["*"])
            #expect(admin.dashboardAccess == "admin")
            #expect(admin.rateLimit == 10_000)
            #expect(admin.costLimitDaily == 1000)
            #expect(admin.tokenExpiry == 7200)
            #expect(admin.services == ["chat", "mcp"])
            #expect(admin.toolRestrictions == "{}")
            #expect(roles[3].mcpAccess == [])
            #expect(try await store.role(named: "nobody") == nil)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func usersHaveARoleAndANameOfTheirOwn(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let ada = NewUser(username: "ada", name: "Ada", email: "a@x.org", role: "developer")
            let user = try await store.insert(user: ada)
            #expect(user.role == "developer")
            #expect(user.isActive)
            #expect(try await store.user(id: user.id) == user)
            #expect(try await store.users() == [user])
            #expect(try await store.user(id: user.id + 1) == nil)
            await #expect(throws: StoreError.conflict("the name is taken")) {
                try await store.insert(user: ada)
            }
            await #expect(throws: StoreError.notFound) {
                try await store.insert(user: NewUser(username: "bob", role: "nobody"))
            }
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func tokensAreFoundByTheirHashAlone(engine: StoreEngine) async throws {
        try await engine.run { io, store, _ in
            let user = try await store.insert(user: NewUser(username: "ada", role: "developer"))
            let hash = String(repeating: "ab", count: 32)
            let new = NewToken(
                userID: user.id, hash: hash, name: "laptop", expiresAt: 1_763_712_000_000_001)
            let token = try await store.insert(token: new)
            #expect(token.name == "laptop")
            #expect(token.userID == user.id)
            #expect(token.expiresAt == 1_763_712_000_000_001)
            #expect(token.lastUsedAt == nil)
            #expect(token.createdAt > Int64(io.wallMicroseconds) - 5_000_000)
            #expect(try await store.token(hash: hash) == token)
            #expect(try await store.token(hash: "other") == nil)
            #expect(try await store.tokens(ofUser: nil) == [token])
            #expect(try await store.tokens(ofUser: user.id) == [token])
            #expect(try await store.tokens(ofUser: user.id + 1) == [])
            await #expect(throws: StoreError.conflict("the name is taken")) {
                try await store.insert(token: new)
            }
            await #expect(throws: StoreError.notFound) {
                try await store.insert(token: NewToken(userID: 99, hash: "h"))
            }
            try await store.touchToken(id: token.id, at: 5)
            #expect(try await store.token(hash: hash)?.lastUsedAt == 5)
            try await store.deleteToken(id: token.id)
            #expect(try await store.token(hash: hash) == nil)
            await #expect(throws: StoreError.notFound) {
                try await store.deleteToken(id: token.id)
            }
            try await store.touchToken(id: token.id, at: 6)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func blocksAreWrittenReplacedAndLifted(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            var block = UserBlock(
                userID: 4, reason: "spam", message: "Ask \"us\", {please}", blockedAt: 1_000_001,
                services: ["chat", "mcp"])
            try await store.write(block: block)
            #expect(try await store.block(ofUser: 4) == block)
            block.services = []
            block.isBlocked = false
            block.blockedBy = 1
            try await store.write(block: block)
            #expect(try await store.blocks() == [block])
            try await store.deleteBlock(ofUser: 4)
            #expect(try await store.block(ofUser: 4) == nil)
            await #expect(throws: StoreError.notFound) { try await store.deleteBlock(ofUser: 4) }
        }
    }
}
