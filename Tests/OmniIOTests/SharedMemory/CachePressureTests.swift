import OmniCore
import Testing

@testable import OmniIO

@Suite("Cache under pressure")
struct CachePressureTests {
    /// Mixed sizes in too little memory: whatever is evicted, moved or cleared away, what is left
    /// is right and the bookkeeping adds up.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func mixedSizesInTooLittleMemoryStayConsistent(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let writer = try CacheWriter(
            configuration: .small(entries: 2000, bytes: 2 << 20), at: .seconds(1))
        var latest: [Int: (mark: UInt8, count: Int)] = [:]
        let keys = (0..<4096).map { CacheKey.named("k\($0)") }
        let token = writer.beginFill(server: "s", tool: "t")
        for step in 0..<12_000 {
            let index = Int.random(in: 0..<4096, using: &random)
            let count = [60, 500, 5000, 64_000][min(3, Int.random(in: 0..<40, using: &random) / 12)]
            let length = Int.random(in: 0...count, using: &random)
            let mark = UInt8(truncatingIfNeeded: step)
            let value = [UInt8](repeating: mark, count: length)
            let outcome = writer.put(keys[index], value.span, token: token, at: .seconds(1))
            #expect(outcome == .stored || outcome == .replaced, "step \(step), seed \(seed)")
            latest[index] = (mark, length)
            if step % 20 == 0 { expectSoundSpace(writer, "step \(step), seed \(seed)") }
        }
        for (index, wanted) in latest {
            guard let hit = writer.get(keys[index], at: .seconds(1)) else { continue }
            #expect(hit.count == wanted.count)
            #expect(unsafe hit.bytes.allSatisfy { $0 == wanted.mark }, "seed \(seed)")
        }
        #expect(writer.statistics.relocations > 0)
    }

    private func expectSoundSpace(_ writer: CacheWriter, _ context: String) {
        var end: UInt32 = 0
        var free = 0
        var lastWasFree = false
        writer.allocator.forEachNode { node in
            let isFree = node.owner == ExtentAllocator.none
            #expect(node.unit == end && !(isFree && lastWasFree), "\(context)")
            if isFree {
                free += Int(node.count)
            } else {
                #expect(Int(node.owner) < 2000, "\(context)")
            }
            end = node.unit + node.count
            lastWasFree = isFree
        }
        #expect(free == writer.allocator.unitsFree, "\(context)")
    }
}
