import Glibc
import Omni2Cache
import OmniCore
import Testing

@testable import OmniIO

@Suite("Cache succession")
struct CacheSuccessionTests {
    private func writer(_ configuration: CacheConfiguration) throws -> CacheWriter {
        try CacheWriter(configuration: configuration, at: .seconds(1))
    }

    private func finish(_ succession: CacheSuccession, at now: MonotonicTime = .seconds(2)) {
        while succession.step(at: now) {}
    }

    @Test func entriesAreTakenInTheirOrder() throws {
        let old = try writer(.small(entries: 10))
        for index in 0..<10 { old.put("k\(index)", "\(index)", tool: "t\(index)", at: .seconds(1)) }
        _ = old.text("k0", at: .seconds(1))
        let token = old.beginFill(server: "s", tool: "t1")
        let new = try writer(.small(entries: 4))
        finish(CacheSuccession(of: old, by: new))
        let order = new.entries(limit: 10, at: .seconds(2)).map(\.key)
        #expect(order == ["k0", "k9", "k8", "k7"].map { .named($0) })
        #expect(new.put(.named("x"), "x".utf8.span, token: token, at: .seconds(2)) == .outdated)
        #expect(new.invalidate(server: "s", tool: "t9") == 1)
        #expect(throws: CacheRecoveryError.notLive) {
            try CacheWriter(
                recovering: dup(old.segment.descriptor), configuration: .small(entries: 10),
                at: .seconds(3))
        }
        try old.discard()
        #expect(new.text("k8", at: .seconds(3)) == "8")
    }

    /// Between two slices the new segment is used as if it were complete.
    @Test func whatHappensMeanwhileStands() throws {
        let old = try writer(.small(entries: 1000))
        for index in 0..<1000 {
            old.put("k\(index)", "old", tool: "t\(index % 8)", at: .seconds(1))
        }
        let new = try writer(.small(entries: 2000, bytes: 4 << 20))
        let succession = CacheSuccession(of: old, by: new)
        #expect(succession.step(at: .seconds(2), limit: 100))
        #expect(new.statistics.entries == 100)
        new.put("k5", "new", at: .seconds(2))
        // The next in turn, one that was taken and one that comes later.
        for name in ["k899", "k999", "k7"] {
            succession.remove(.named(name), at: .seconds(2))
            new.remove(.named(name), at: .seconds(2))
        }
        for one in [old, new] { one.invalidate(server: "s", tool: "t3") }
        finish(succession)
        #expect(new.text("k5", at: .seconds(2)) == "new")
        for name in ["k899", "k999", "k7", "k3", "k995"] {
            #expect(new.text(name, at: .seconds(2)) == nil, "\(name)")
        }
        let expected = (0..<1000).count { $0 % 8 != 3 && ![899, 999, 7].contains($0) }
        #expect(new.statistics.entries == expected)
        #expect(new.text("k898", at: .seconds(2)) == "old")
    }

    @Test func expiredEntriesStayBehindAndOthersKeepTheirTime() throws {
        let old = try writer(.small())
        old.put("short", "x", ttl: .seconds(5), at: .seconds(1))
        old.put("long", "x", ttl: .seconds(50), at: .seconds(1))
        let new = try writer(.small(entries: 200))
        finish(CacheSuccession(of: old, by: new), at: .seconds(10))
        #expect(new.text("short", at: .seconds(10)) == nil)
        #expect(new.text("long", at: .seconds(50.9)) == "x")
        #expect(new.text("long", at: .seconds(51)) == nil)
        _ = new.sweep(at: .seconds(52))
        #expect(new.statistics.entries == 0)
    }

    @Test func countersGoOn() throws {
        let old = try writer(.small())
        old.put("a", "x", at: .seconds(1))
        for _ in 0..<7 { _ = old.text("a", at: .seconds(1)) }
        let new = try writer(.small(entries: 200))
        let succession = CacheSuccession(of: old, by: new)
        #expect(new.statistics.hits == 7)
        _ = new.text("a", at: .seconds(2))
        finish(succession)
        #expect((new.statistics.hits, new.statistics.misses, new.statistics.stores) == (7, 1, 1))
    }

    /// The limit of a slice is in bytes, too: large values would hold the ring up.
    @Test func slicesAreBounded() throws {
        let old = try writer(.small(entries: 100, bytes: 64 << 20))
        let value = String(repeating: "x", count: 300_000)
        for index in 0..<100 { old.put("k\(index)", value, at: .seconds(1)) }
        let new = try writer(.small(entries: 200, bytes: 64 << 20))
        let succession = CacheSuccession(of: old, by: new)
        #expect(succession.step(at: .seconds(2)))
        #expect(new.statistics.entries == 4)
        finish(succession)
        #expect(new.statistics.entries == 100)
    }

    @Test func lessMemoryKeepsWhatWasUsedLast() throws {
        let old = try writer(.small(entries: 100, bytes: 8 << 20))
        let value = String(repeating: "x", count: 64 << 10)
        for index in 0..<100 { old.put("k\(index)", value, at: .seconds(1)) }
        let new = try writer(.small(entries: 100, bytes: 2 << 20))
        finish(CacheSuccession(of: old, by: new))
        #expect(new.statistics.entries == 32)
        #expect(new.statistics.evictions == 0)
        #expect(new.text("k68", at: .seconds(2)) == value)
        #expect(new.text("k67", at: .seconds(2)) == nil)
    }

    /// A reader attached to the old segment finds it retired, and what it asked for in the new one.
    @Test func readerLearnsThatThereIsASuccessor() throws {
        let old = try CacheWriter(configuration: .small(), at: BootClock.now())
        old.put("a", "x", at: BootClock.now())
        let reader = try CacheReader(descriptor: old.segment.descriptor)
        let new = try CacheWriter(configuration: .small(entries: 200), at: BootClock.now())
        let succession = CacheSuccession(of: old, by: new)
        #expect(reader.get(.named("a")) == Array("x".utf8))
        while succession.step(at: BootClock.now()) {}
        #expect(reader.get(.named("a")) == nil)
        let next = try CacheReader(descriptor: new.segment.descriptor)
        #expect(next.get(.named("a")) == Array("x".utf8))
    }

    @Test func boundsOfAFoundSegmentAreKnown() throws {
        let old = try writer(.small(entries: 77, bytes: 6 << 20))
        let bounds = CacheConfiguration.small().bounded(as: old.segment.descriptor)
        #expect(bounds.hasBounds(of: .small(entries: 77, bytes: 6 << 20)))
        #expect(!bounds.hasBounds(of: .small(entries: 78, bytes: 6 << 20)))
        let foreign = try SharedSegment(name: "foreign", bytes: 8192)
        #expect(CacheConfiguration.small().bounded(as: foreign.descriptor).hasBounds(of: .small()))
        #expect(CacheConfiguration.small().bounded(as: -1).hasBounds(of: .small()))
    }
}
