import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// Work on many entries takes turns with everything else on the ring.
@Suite("Cache upkeep")
struct CacheUpkeepTests {
    private func cache(_ io: RingIO, _ folder: TemporaryFolder, _ text: String) throws -> Cache {
        let tree = ConfigurationTree()
        tree.write("/etc/omni2/omni2.conf", "[Cache]\n\(text)")
        let log = Log(Journal.silent(), service: .cache)
        let segments = CacheSegments(
            manager: ServiceManager(), activated: try ActivatedSockets(Environment([:])), log: log)
        return try Cache(
            io: io, settings: tree.load().cache, segments: segments, stateDirectory: folder.path,
            log: log)
    }

    private func fill(_ writer: CacheWriter, _ count: Int, bytes: Int) {
        let hasher = CacheKeyHasher()
        let value = [UInt8](repeating: 7, count: bytes)
        let token = writer.beginFill(server: "s", tool: "t")
        for index in 0..<count {
            _ = writer.put(
                hasher.digest("k\(index)".utf8.span), value.span, token: token, at: BootClock.now())
        }
    }

    @Test func trimmingGivesBackWhatWasAskedForInBothSegments() async throws {
        let folder = try TemporaryFolder()
        try await RingFixture.run { io in
            let cache = try cache(io, folder, "MaxEntries=20000\nMaxBytes=16M\n")
            fill(cache.shared, 20_000, bytes: 500)
            fill(cache.personal, 5000, bytes: 500)
            let before = cache.statistics
            // The ring goes round meanwhile.
            let rounds = Counter()
            let stop = io.now + .seconds(20)
            io.spawn {
                while !rounds.isDone, io.now < stop {
                    rounds.count += 1
                    await io.sleep(until: io.now)
                }
            }
            let returned = await cache.trim(to: 0.5, because: "a test")
            rounds.isDone = true
            #expect(rounds.count >= 12_500 / 256)
            #expect(returned >= 4 << 20)
            #expect(cache.statistics.bytes <= before.bytes / 2)
            #expect(cache.shared.statistics.entries == 10_000)
            #expect(cache.personal.statistics.entries == 2500)
        }
    }

    @Test func pagesOfALargeCacheAreMergedOffTheRing() async throws {
        let folder = try TemporaryFolder()
        try await RingFixture.run { io in
            let cache = try cache(io, folder, "MaxEntries=1000\nMaxBytes=40M\n")
            fill(cache.shared, 600, bytes: 64 << 10)
            await cache.mergePages()
            #expect(cache.shared.beginMerge() == nil)
            #expect(cache.shared.statistics.entries == 600)
        }
    }
}

/// On the ring's thread only.
private final class Counter {
    var count = 0
    var isDone = false
}
