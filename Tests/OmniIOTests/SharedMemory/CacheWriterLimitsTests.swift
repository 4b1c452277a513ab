import CShims.Cache
import CShims.Linux
import OmniCore
import Testing

@testable import OmniIO

@Suite("Cache writer at its limits")
struct CacheWriterLimitsTests {
    @Test func keysThatCollideInTheIndexAreKeptApart() throws {
        // With this seed, every key whose first and third words equal the seed's halves hashes
        // to zero: one pair of buckets, one tag.
        let seed: (UInt64, UInt64) = (3, 5)
        let writer = try CacheWriter(
            configuration: .small(entries: 100), seed: seed, at: .seconds(1))
        let keys = (0..<40 as Range<UInt64>).map {
            CacheKey(words: (seed.0, $0, seed.1, $0 &* 7))
        }
        let token = writer.beginFill(server: "s", tool: "t")
        for (index, key) in keys.enumerated() {
            let value = "value \(index)"
            #expect(
                writer.put(key, value.utf8.span, token: token, at: .seconds(1)) == .stored)
        }
        for (index, key) in keys.enumerated() {
            let found = writer.get(key, at: .seconds(1))?.text
            // Sixteen slots; older ones made room.
            #expect(found == (index < 24 ? nil : "value \(index)"))
        }
        #expect(writer.statistics.entries == 16)
    }

    @Test func crowdedBucketMovesAnEntryAside() throws {
        let writer = try CacheWriter(configuration: .small(entries: 2000), at: .seconds(1))
        for index in 0..<2000 { writer.put("k\(index)", "\(index)", at: .seconds(1)) }
        for index in 0..<2000 { #expect(writer.text("k\(index)", at: .seconds(1)) == "\(index)") }
    }

    @Test func tooLongAValueIsRefusedAndCounted() throws {
        var configuration = CacheConfiguration.small()
        configuration.valueBytesMax = 100
        let writer = try CacheWriter(configuration: configuration, at: .seconds(1))
        #expect(writer.put("a", String(repeating: "x", count: 101), at: .seconds(1)) == .tooLarge)
        #expect(writer.put("a", String(repeating: "x", count: 100), at: .seconds(1)) == .stored)
        #expect(writer.statistics.refusedTooLarge == 1)
    }

    @Test func valuesOfTheWholeAreaTakeTurns() throws {
        var configuration = CacheConfiguration.small(entries: 100, bytes: 2 << 20)
        configuration.valueBytesMax = 2 << 20
        let writer = try CacheWriter(configuration: configuration, at: .seconds(1))
        let large = [UInt8](repeating: 1, count: 2 << 20)
        for index in 0..<90 { writer.put("k\(index)", "small", at: .seconds(1)) }
        let token = writer.beginFill(server: "s", tool: "t")
        #expect(writer.put(.named("l"), large.span, token: token, at: .seconds(1)) == .stored)
        #expect(writer.statistics.entries == 1)
        // Replacing it has no room beside it: the old value goes first.
        #expect(writer.put(.named("l"), large.span, token: token, at: .seconds(1)) == .stored)
        #expect(writer.put("a", "small", at: .seconds(1)) == .stored)
        #expect(writer.get(.named("l"), at: .seconds(1)) == nil)
    }

    @Test func fragmentedSpaceIsJoinedByMovingEntries() throws {
        let writer = try CacheWriter(
            configuration: .small(entries: 10_000, bytes: 2 << 20), at: .seconds(1))
        let half = String(repeating: "x", count: 4096)
        for index in 0..<512 { writer.put("k\(index)", half, at: .seconds(1)) }
        for index in stride(from: 0, to: 512, by: 2) {
            writer.remove(.named("k\(index)"), at: .seconds(1))
        }
        let before = writer.statistics
        #expect(
            writer.put("long", String(repeating: "y", count: 30_000), at: .seconds(1)) == .stored)
        let after = writer.statistics
        #expect(after.relocations > before.relocations)
        #expect(after.evictions == before.evictions)
        for index in stride(from: 1, to: 512, by: 2) {
            #expect(writer.text("k\(index)", at: .seconds(1)) == half)
        }
    }

    /// Small values everywhere, freed at random, then a long one: it costs about its own size.
    @Test func longValueAmongManySmallOnesCostsAboutItsOwnSize() throws {
        var random = SeededRandom(4)
        let writer = try CacheWriter(
            configuration: .small(entries: 20_000, bytes: 4 << 20), at: .seconds(1))
        let small = String(repeating: "x", count: 250)
        for index in (0..<16_000).shuffled(using: &random) {
            writer.put("k\(index)", small, at: .seconds(1))
        }
        for index in (0..<16_000).shuffled(using: &random) {
            _ = writer.text("k\(index)", at: .seconds(1))
        }
        let before = writer.statistics
        let long = String(repeating: "y", count: 512 << 10)
        #expect(writer.put("long", long, at: .seconds(1)) == .stored)
        #expect(writer.text("long", at: .seconds(1)) == long)
        let lost = before.entries - writer.statistics.entries
        #expect(lost < 4 * (512 << 10) / 256)
        var kept = 0
        for index in 0..<16_000 {
            guard let value = writer.text("k\(index)", at: .seconds(1)) else { continue }
            #expect(value == small)
            kept += 1
        }
        #expect(kept == writer.statistics.entries - 1)
    }

    @Test func withoutMemoryNothingIsStoredAndNothingBreaks() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        writer.memoryLimit.refused(at: 5_000_000_000)
        #expect(writer.put("a", "a", at: .seconds(1)) == .noSpace)
        #expect(writer.put("e", "", at: .seconds(1)) == .stored, "an empty value needs none")
        #expect(writer.statistics.refusedNoSpace == 1)
        #expect(writer.put("a", "a", at: .seconds(7)) == .stored)
    }

    @Test func whenMemoryMayNotGrowEntriesMakeRoom() throws {
        let writer = try CacheWriter(
            configuration: .small(entries: 1000, bytes: 8 << 20), at: .seconds(1))
        let value = String(repeating: "x", count: 64 << 10)
        for index in 0..<32 { writer.put("k\(index)", value, at: .seconds(1)) }
        #expect(writer.statistics.bytesReserved == 2 << 20)
        writer.memoryLimit.refused(at: 5_000_000_000)
        #expect(writer.put("more", value, at: .seconds(2)) == .stored)
        #expect(writer.statistics.evictions == 1)
        #expect(writer.statistics.bytesReserved == 2 << 20)
    }

    @Test func memoryPressureGivesMemoryBack() throws {
        let writer = try CacheWriter(
            configuration: .small(entries: 1000, bytes: 16 << 20), at: .seconds(1))
        let value = String(repeating: "x", count: 64 << 10)
        for index in 0..<256 { writer.put("k\(index)", value, at: .seconds(1)) }
        #expect(writer.statistics.bytesReserved == 16 << 20)
        while writer.trim(toBytes: 12 << 20, at: .seconds(2)) {}
        #expect(writer.statistics.bytesReserved == 12 << 20)
        #expect(writer.statistics.entries == 192)
        #expect(writer.text("k255", at: .seconds(2)) == value)
        #expect(writer.text("k0", at: .seconds(2)) == nil)
        for index in 300..<364 {
            #expect(writer.put("k\(index)", value, at: .seconds(9)) == .stored)
        }
        #expect(writer.statistics.bytesReserved == 16 << 20)
    }

    /// Used at random, small entries leave no step empty by themselves: they are moved together.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func memoryPressureMovesSmallEntriesTogether(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let writer = try CacheWriter(
            configuration: .small(entries: 60_000, bytes: 16 << 20), at: .seconds(1))
        let value = String(repeating: "x", count: 250)
        for index in 0..<60_000 { writer.put("k\(index)", value, at: .seconds(1)) }
        for index in (0..<60_000).shuffled(using: &random) {
            _ = writer.text("k\(index)", at: .seconds(1))
        }
        #expect(writer.statistics.bytesReserved == 16 << 20)
        let target = writer.statistics.bytesUsed / 2
        var slices = 1
        while writer.trim(toBytes: target, at: .seconds(2)) { slices += 1 }
        #expect(slices > 30_000 / 256)
        #expect(writer.statistics.entries == 30_000)
        #expect(writer.statistics.bytesReserved <= 8 << 20, "seed \(seed)")
        for entry in writer.entries(limit: 60_000, at: .seconds(2)) {
            #expect(writer.get(entry.key, at: .seconds(2))?.text == value)
        }
    }

    @Test func pagesAreMergedOneStepAtATimeAndOnlyOfALargeCache() throws {
        let writer = try CacheWriter(
            configuration: .small(entries: 40_000, bytes: 40 << 20), at: .seconds(1))
        let value = String(repeating: "x", count: 64 << 10)
        for index in 0..<256 { writer.put("k\(index)", value, at: .seconds(1)) }
        #expect(writer.beginMerge() == nil)
        for index in 256..<600 { writer.put("k\(index)", value, at: .seconds(1)) }
        var merges = 0
        while let merge = writer.beginMerge() {
            #expect(writer.beginMerge() == nil)
            #expect(merge.run())
            writer.endMerge(succeeded: true)
            merges += 1
        }
        #expect(merges == writer.statistics.bytesReserved >> 21 + writer.geometry.namesOffset >> 21)
        for index in 0..<600 { #expect(writer.text("k\(index)", at: .seconds(1)) == value) }
        #expect(unsafe Int(bitPattern: writer.segment.base) % (2 << 20) == 0)
    }

    /// What another thread is working on is not given back under it.
    @Test func memoryPressureLeavesTheStepThatIsBeingMerged() throws {
        let writer = try CacheWriter(
            configuration: .small(entries: 1000, bytes: 40 << 20), at: .seconds(1))
        let value = String(repeating: "x", count: 64 << 10)
        for index in 0..<640 { writer.put("k\(index)", value, at: .seconds(1)) }
        let merge = try #require(writer.beginMerge())
        while writer.trim(toBytes: 0, at: .seconds(2)) {}
        #expect(writer.statistics.entries == 0)
        #expect(writer.statistics.bytesReserved == 2 << 20)
        #expect(merge.run())
        writer.endMerge(succeeded: true)
        while writer.trim(toBytes: 0, at: .seconds(2)) {}
        #expect(writer.statistics.bytesReserved == 0)
    }

    @Test func kernelThatDoesNotMergeIsNotAskedAgain() throws {
        let writer = try CacheWriter(
            configuration: .small(entries: 1000, bytes: 40 << 20), at: .seconds(1))
        let value = String(repeating: "x", count: 64 << 10)
        for index in 0..<640 { writer.put("k\(index)", value, at: .seconds(1)) }
        #expect(writer.beginMerge() != nil)
        writer.endMerge(succeeded: false)
        #expect(writer.beginMerge() == nil)
    }

    @Test func freedBytesAreScrubbed() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        writer.put("a", String(repeating: "secret", count: 100), at: .seconds(1))
        let range = Int(writer.geometry.value_offset)..<Int(writer.geometry.value_offset) + 640
        #expect(
            unsafe writer.segment.base.load(fromByteOffset: range.lowerBound, as: UInt8.self) != 0)
        writer.invalidate(server: "s")
        writer.sweep(at: .seconds(1))
        for offset in range {
            #expect(unsafe writer.segment.base.load(fromByteOffset: offset, as: UInt8.self) == 0)
        }
    }

    @Test func clockThatJumpsBackIsNotFollowed() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1000))
        writer.put("a", "a", ttl: .seconds(10), at: .seconds(1000))
        #expect(writer.text("a", at: .seconds(5)) == "a")
        #expect(writer.text("a", at: .seconds(1010)) == nil)
        writer.put("b", "b", ttl: .seconds(10), at: .seconds(5))
        #expect(writer.text("b", at: .seconds(1019)) == "b")
        #expect(writer.text("b", at: .seconds(1020)) == nil)
    }

    @Test func manyNamesReuseNumbersOnlyAcrossAnInvalidation() throws {
        let writer = try CacheWriter(configuration: .small(entries: 200), at: .seconds(1))
        let old = writer.beginFill(server: "server 0", tool: "tool")
        for index in 0..<40 {
            writer.put(
                "k\(index)", "\(index)", server: "server \(index)", tool: "tool", at: .seconds(1))
        }
        #expect(writer.put(.named("late"), "x".utf8.span, token: old, at: .seconds(1)) == .outdated)
        let listed = writer.entries(limit: 100, at: .seconds(1))
        #expect(listed.count == 4)
        for entry in listed {
            let index = entry.server.dropFirst(7)
            #expect(entry.key == .named("k\(index)"))
        }
    }

    @Test func memoryLimitFollowsTheTightestGroup() throws {
        let folder = "/tmp/omni2-cache-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        func write(_ name: String, _ text: String) {
            _ = unsafe system("mkdir -p \(folder) && echo \(text) > \(folder)/\(name)")
        }
        defer { _ = unsafe system("rm -r \(folder)") }
        write("memory.max", "max")
        write("memory.current", "1000")
        var limit = MemoryLimit(directories: [folder])
        func allows(_ held: Int, at second: UInt64) -> Bool {
            limit.allows(2 << 20, beyond: held, at: second * 1_000_000_000)
        }
        #expect(allows(1 << 30, at: 1))
        write("memory.max", "16777216")
        #expect(allows(4 << 20, at: 2))
        #expect(!allows(7 << 20, at: 3), "half of the group at most")
        #expect(!allows(0, at: 3), "a refusal stands for a second")
        write("memory.current", "15000000")
        #expect(!allows(0, at: 5), "the group itself is full")
        write("memory.stat", "'anon 1\ninactive_file 4000000\nactive_file 2'")
        #expect(allows(0, at: 7), "file pages make room")
    }
}
