import OmniCore
import Testing

@Suite("LRUIndex")
struct LRUIndexTests {
    private func order(_ index: LRUIndex) -> [Int] {
        var slots: [Int] = []
        var slot = index.oldest
        while let current = slot {
            slots.append(current)
            slot = index.newer(than: current)
        }
        return slots
    }

    @Test func useMovesToTheNewestEnd() {
        var index = LRUIndex(capacity: 4)
        for slot in 0..<4 { index.use(slot) }
        index.use(1)
        index.use(1)
        #expect(order(index) == [0, 2, 3, 1])
        #expect(index.removeOldest() == 0)
        #expect(index.remove(3) == true)
        #expect(index.remove(3) == false)
        #expect(order(index) == [2, 1])
        #expect(index.newest == 1)
        #expect(index.older(than: 1) == 2)
    }

    @Test func anEmptyIndexHasNoEnds() {
        var index = LRUIndex(capacity: 2)
        #expect(index.oldest == nil && index.newest == nil && index.removeOldest() == nil)
        index.use(1)
        #expect(index.oldest == 1 && index.newest == 1 && index.count == 1)
        index.removeAll()
        #expect(index.isEmpty && !index.contains(1))
    }

    @Test(arguments: testSeeds) func itKeepsTheOrderOfAPlainList(_ seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var index = LRUIndex(capacity: 50)
        var model: [Int] = []
        for step in 0..<5_000 {
            let slot = Int.random(in: 0..<50, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                index.use(slot)
                model.removeAll { $0 == slot }
                model.append(slot)
            case 6..<8:
                #expect(index.remove(slot) == model.contains(slot))
                model.removeAll { $0 == slot }
            default:
                #expect(index.removeOldest() == model.first)
                if !model.isEmpty { model.removeFirst() }
            }
            #expect(index.count == model.count, "seed \(seed), step \(step)")
            if step % 50 == 0 { #expect(order(index) == model, "seed \(seed), step \(step)") }
        }
    }
}

@Suite("FilterClassTable")
struct FilterClassTableTests {
    private func filterClass(_ type: String, _ servers: ServerAccess = .all) -> FilterClass {
        FilterClass(subscriptions: [EventSubscription(types: [type])], servers: servers)
    }

    @Test func equalClassesShareANumber() {
        var table = FilterClassTable(classesMax: 10)
        let first = table.intern(filterClass("a"))
        #expect(table.intern(filterClass("A")) == first)
        #expect(table.intern(filterClass("b")) != first)
        #expect(table.intern(filterClass("a", .none)) != first)
        #expect(table.count == 3)
        #expect(table.members(of: first!) == 2)
    }

    @Test func numbersAreFreeAfterTheLastMember() {
        var table = FilterClassTable(classesMax: 1)
        let id = table.intern(filterClass("a"))!
        _ = table.intern(filterClass("a"))
        #expect(table.intern(filterClass("b")) == nil)
        table.release(id)
        #expect(table.intern(filterClass("b")) == nil)
        table.release(id)
        #expect(table.intern(filterClass("b")) == id)
    }

    @Test func oneEvaluationAnswersForEveryClass() {
        var table = FilterClassTable(classesMax: 200)
        var verdict = FilterVerdict()
        let ids = (0..<130).map { table.intern(filterClass("t\($0 % 2)_\($0)"))! }
        let both = table.intern(filterClass("t1_7", .only(["git"])))!
        table.evaluate(EventFacts(type: "t1_7"), into: &verdict)
        #expect(ids.filter(verdict.contains) == [ids[7]])
        #expect(verdict.contains(both))
        table.evaluate(EventFacts(type: "t1_7", mcpName: "db"), into: &verdict)
        #expect(verdict.contains(ids[7]) && !verdict.contains(both))
        table.evaluate(EventFacts(type: "none"), into: &verdict)
        #expect(verdict.isEmpty)
        #expect(!verdict.contains(100_000))
    }

    @Test(arguments: testSeeds) func theTableAgreesWithAskingEveryClass(_ seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var table = FilterClassTable(classesMax: 30)
        var held: [Int] = []
        var verdict = FilterVerdict()
        for _ in 0..<2_000 {
            let type = "t\(Int.random(in: 0..<8, using: &random))"
            let servers: ServerAccess =
                Bool.random(using: &random)
                ? .all : .only(["s\(Int.random(in: 0..<3, using: &random))"])
            if Bool.random(using: &random), let id = table.intern(filterClass(type, servers)) {
                held.append(id)
            } else if !held.isEmpty {
                table.release(held.remove(at: Int.random(in: 0..<held.count, using: &random)))
            }
            let server = Bool.random(using: &random) ? "s1" : nil
            let event = EventFacts(type: type, mcpName: server)
            table.evaluate(event, into: &verdict)
            for id in 0..<table.idCount {
                #expect(
                    verdict.contains(id) == (table[id]?.matches(event) ?? false), "seed \(seed)")
            }
            #expect(table.count == Set(held).count)
        }
    }
}
