import OmniCore
import Testing

@testable import OmniIO

/// The cache as a list, oldest use first: what the writer must be indistinguishable from.
private struct Model {
    struct Entry {
        var name: String
        var value: String
        var tool: String
        var expires: MonotonicTime
    }
    var entries: [Entry] = []
    let entriesMax: Int

    mutating func get(_ name: String, at now: MonotonicTime) -> String? {
        guard let index = entries.firstIndex(where: { $0.name == name }),
            now < entries[index].expires
        else { return nil }
        let entry = entries.remove(at: index)
        entries.append(entry)
        return entry.value
    }

    mutating func put(_ entry: Entry, at now: MonotonicTime) {
        if let index = entries.firstIndex(where: { $0.name == entry.name }) {
            if now < entries[index].expires {
                entries[index] = entry
                return
            }
            entries.remove(at: index)
        }
        if entries.count >= entriesMax {
            if let over = entries.firstIndex(where: { $0.expires <= now }) {
                entries.remove(at: over)
            } else {
                entries.removeFirst()
            }
        }
        entries.append(entry)
    }
}

@Suite("Cache against a model")
struct CacheModelTests {
    @Test(arguments: [11, 12, 13, 14] as [UInt64])
    func randomOperationsAnswerLikeAnOrderedList(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let writer = try CacheWriter(configuration: .small(entries: 20), at: .seconds(1))
        var model = Model(entriesMax: 20)
        var now = MonotonicTime.seconds(1)
        for step in 0..<5000 {
            now = now + .milliseconds(Int.random(in: 0...20, using: &random))
            // The writer takes expired entries out at its own pace; the model does so at once.
            while writer.sweep(at: now) {}
            model.entries.removeAll { $0.expires <= now }
            let name = "k\(Int.random(in: 0..<35, using: &random))"
            let tool = "t\(name.last!)"
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<45:
                #expect(
                    writer.text(name, at: now) == model.get(name, at: now), "\(step), seed \(seed)")
            case 45..<96:
                let value = String(
                    repeating: "\(step)", count: Int.random(in: 0...60, using: &random))
                let life = Duration.milliseconds(Int.random(in: 1...40, using: &random) * 50)
                writer.put(name, value, tool: tool, ttl: life, at: now)
                model.put(
                    .init(name: name, value: value, tool: tool, expires: now + life), at: now)
            case 96:
                let ended = writer.invalidate(server: "s", tool: tool)
                #expect(ended == model.entries.filter { $0.tool == tool }.count)
                model.entries.removeAll { $0.tool == tool }
            case 97:
                let removed = writer.remove(.named(name), at: now)
                #expect(removed == model.entries.contains { $0.name == name })
                model.entries.removeAll { $0.name == name }
            default:
                let listed = writer.entries(limit: 100, at: now).map(\.key)
                #expect(listed == model.entries.reversed().map { .named($0.name) })
            }
        }
        #expect(writer.statistics.entries == model.entries.count)
        #expect(writer.statistics.evictions > 100)
    }

    /// Zipf 1.0 over 5 000 keys, 1 000 entries: what LRU reaches, we reach.
    @Test func hitRateOfARepeatedQueryTraceIsThatOfLRU() throws {
        var random = SeededRandom(5)
        var configuration = CacheConfiguration.small(entries: 1000, bytes: 4 << 20)
        configuration.ttl = .seconds(100_000)
        let writer = try CacheWriter(configuration: configuration, at: .seconds(1))
        var order: [Int: Int] = [:]
        var hits = 0
        var modelHits = 0
        var sums: [Double] = []
        var sum = 0.0
        for rank in 1...5000 {
            sum += 1 / Double(rank)
            sums.append(sum)
        }
        let keys = (0..<5000).map { CacheKey.named("k\($0)") }
        let token = writer.beginFill(server: "s", tool: "t")
        let lookups = 60_000
        for step in 0..<lookups {
            let point = Double.random(in: 0..<sum, using: &random)
            var (low, high) = (0, 4999)
            while low < high {
                let middle = (low + high) / 2
                if sums[middle] < point { low = middle + 1 } else { high = middle }
            }
            if writer.get(keys[low], at: .seconds(2)) != nil {
                hits += 1
            } else {
                _ = writer.put(keys[low], "v".utf8.span, token: token, at: .seconds(2))
            }
            if order[low] != nil { modelHits += 1 }
            order[low] = step
            if order.count > 1000 { order[order.min { $0.value < $1.value }!.key] = nil }
        }
        let rate = Double(hits) / Double(lookups)
        #expect(abs(rate - Double(modelHits) / Double(lookups)) < 0.01)
        #expect(rate > 0.70, "hit rate \(rate)")
        #expect(abs(writer.statistics.hitRatePercent - rate * 100) < 0.001)
    }
}
