import OmniCore
import Testing

@testable import OmniIO

@Suite("Redis")
struct RedisTests {
    @Test func addressesAreRead() throws {
        let plain = try #require(RedisTarget("redis://host"))
        #expect(plain.place == .network(host: "host", port: 6379) && plain.password == nil)
        let whole = try #require(RedisTarget("redis://ann:p%40ss:w@[::1]:7000/3"))
        #expect(whole.place == .network(host: "::1", port: 7000) && whole.database == 3)
        #expect(whole.user == "ann" && whole.password?.revealed == "p@ss:w")
        #expect(!whole.description.contains("p@ss"))
        let alone = try #require(RedisTarget("redis://:secret@host:1"))
        #expect(alone.user == nil && alone.password?.revealed == "secret")
        #expect(RedisTarget("unix:///run/redis.sock?db=2")?.place == .path("/run/redis.sock"))
    }

    @Test(arguments: [
        "", "redis://", "rediss://host", "redis://host:0", "redis://host:x", "redis://host/x",
        "redis://user@host", "unix://relative", "unix:///x?y=1", "http://host",
    ])
    func whatIsNoAddressIsRefused(_ text: String) { #expect(RedisTarget(text) == nil) }

    @Test func aPeerThatIsNotThereIsALoss() async throws {
        try await RingFixture.run { io in
            let target = try #require(RedisTarget("unix:///nonexistent/redis.sock"))
            await #expect(throws: RedisError.self) {
                let connection = try await RedisConnection.open(target, io)
                io.spawn { _ = await connection.run() }
                defer { connection.close() }
                try await connection.logIn(target, until: io.now + .seconds(2))
            }
        }
    }
}
