import CShims.Linux
import OmniCore
import Testing

@testable import OmniIO

@Suite("Cache recovery and succession")
struct CacheRecoveryTests {
    private func recover(
        _ writer: CacheWriter, _ configuration: CacheConfiguration = .small(),
        at now: MonotonicTime
    ) throws -> CacheWriter {
        try CacheWriter(
            recovering: dup(writer.segment.descriptor), configuration: configuration, at: now)
    }

    @Test func keepsWhatReadersWouldGetAndDropsTheRest() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        writer.put("kept", "k", tool: "a", at: .seconds(1))
        writer.put("empty", "", tool: "a", at: .seconds(1))
        writer.put("over", "o", tool: "a", ttl: .seconds(5), at: .seconds(1))
        writer.put("ended", "e", tool: "b", at: .seconds(1))
        writer.invalidate(server: "s", tool: "b")
        let next = try recover(writer, at: .seconds(10))
        #expect(next.text("kept", at: .seconds(10)) == "k")
        #expect(next.text("empty", at: .seconds(10)) == "")
        #expect(next.text("over", at: .seconds(10)) == nil)
        #expect(next.text("ended", at: .seconds(10)) == nil)
        #expect(next.statistics.recovered == 2)
        #expect(next.statistics.recoveryDropped == 2)
        #expect(next.entries(server: "s", tool: "a", limit: 10, at: .seconds(10)).count == 2)
    }

    @Test func expiryOrderAndCountersContinue() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        for index in 0..<30 {
            let life = Duration.seconds(10 + (index * 7) % 30)
            writer.put("k\(index)", "\(index)", ttl: life, at: .seconds(1))
        }
        _ = writer.text("k1", at: .seconds(1))
        let next = try recover(writer, at: .seconds(2))
        #expect(next.statistics.hits == 1)
        #expect(next.statistics.stores == 30)
        for second in stride(from: 3.0, through: 45, by: 1) {
            next.sweep(at: .seconds(second))
            let live = (0..<30).filter { 11 + Double(($0 * 7) % 30) > second }.count
            #expect(next.statistics.entries == live)
        }
    }

    /// A fill that began under the old writer carries a stamp the new one could have given too.
    @Test func stampsAreNeverUsedTwice() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        for index in 0..<10 { writer.put("k\(index)", "\(index)", at: .seconds(1)) }
        let next = try recover(writer, at: .seconds(2))
        #expect(next.nextStamp >= writer.nextStamp)
        next.invalidate(server: "s")
        let third = try recover(next, at: .seconds(3))
        #expect(third.statistics.entries == 0)
        #expect(third.statistics.recoveryDropped == 10)
        third.put("k1", "new", at: .seconds(3))
        #expect(try recover(third, at: .seconds(4)).text("k1", at: .seconds(4)) == "new")
    }

    @Test func fullCacheRecoversAndGoesOn() throws {
        let configuration = CacheConfiguration.small(entries: 5000, bytes: 4 << 20)
        let writer = try CacheWriter(configuration: configuration, at: .seconds(1))
        var random = SeededRandom(3)
        for index in 0..<9000 {
            let length = Int.random(in: 0...2000, using: &random)
            writer.put(
                "k\(index % 6000)", String(repeating: "\(index)", count: length / 4),
                at: .seconds(1))
        }
        let kept = writer.entries(limit: 10_000, at: .seconds(1)).map(\.key)
        let next = try recover(writer, configuration, at: .seconds(2))
        #expect(next.statistics.recovered == UInt64(kept.count))
        #expect(next.statistics.bytesUsed == writer.statistics.bytesUsed)
        for key in kept {
            let old = writer.get(key, at: .seconds(2))?.text
            #expect(next.get(key, at: .seconds(2))?.text == old)
        }
        for index in 0..<3000 { next.put("n\(index)", "\(index)", at: .seconds(2)) }
        #expect(next.text("n2999", at: .seconds(2)) == "2999")
    }
}
