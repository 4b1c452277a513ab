import Testing

@testable import OmniIO

@Suite("Expiry queues")
struct ExpiryQueuesTests {
    @Test(arguments: [3, 100])
    func everythingBecomesDueWhenItsTimeComes(lives: Int) {
        var random = SeededRandom(UInt64(lives))
        var queues = ExpiryQueues(count: 1000)
        var expiries: [UInt32: UInt64] = [:]
        var queue: [UInt32: UInt8] = [:]
        var now: UInt64 = 0
        for slot in 0..<1000 as Range<UInt32> {
            now += UInt64.random(in: 0...5, using: &random)
            let life = UInt64.random(in: 1...UInt64(lives), using: &random) * 100
            expiries[slot] = now + life
            queue[slot] = queues.add(slot, expires: now + life, life: life)
            if slot % 3 == 0 {
                queues.remove(slot, queue: queue[slot]!)
                expiries[slot] = nil
            }
        }
        let last = expiries.values.max()!
        for moment in stride(from: UInt64(0), through: last, by: 50) {
            while let slot = queues.due(at: moment) {
                #expect(expiries[slot]! <= moment, "seed \(random.seed)")
                queues.remove(slot, queue: queue[slot]!)
                expiries[slot] = nil
            }
            // With more lives than queues some may come late, never early.
            if lives < 64 { #expect(expiries.values.allSatisfy { $0 > moment }) }
        }
        while let slot = queues.due(at: .max - 1) {
            queues.remove(slot, queue: queue[slot]!)
            expiries[slot] = nil
        }
        #expect(expiries.isEmpty)
    }
}
