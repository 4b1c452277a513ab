import Testing

@testable import OmniIO

@Suite("Extent allocator")
struct ExtentAllocatorTests {
    @Test(arguments: [1, 2, 3] as [UInt64])
    func randomWorkKeepsExtentsApartAndFreeSpaceJoined(seed: UInt64) {
        var random = SeededRandom(seed)
        var allocator = ExtentAllocator(entries: 400)
        var held: [UInt32: UInt32] = [:]
        allocator.add(unit: 0, count: 4096)
        for step in 0..<6000 {
            if step == 2000 { allocator.add(unit: 8192, count: 4096) }
            if step == 3000 { allocator.add(unit: 4096, count: 4096) }
            if held.count < 400, Bool.random(using: &random) {
                let count = UInt32.random(in: 1...200, using: &random)
                if let node = allocator.allocate(count, owner: UInt32(step)) { held[node] = count }
            } else if let node = held.keys.sorted().randomElement(using: &random) {
                allocator.free(node)
                held[node] = nil
            }
            if step % 50 == 0 { check(allocator, held, random.seed) }
        }
        for node in held.keys { allocator.free(node) }
        check(allocator, [:], random.seed)
        #expect(allocator.unitsFree == 12288)
        #expect(allocator.allocate(12288, owner: 1) != nil, "everything joined again")
    }

    private func check(_ allocator: ExtentAllocator, _ held: [UInt32: UInt32], _ seed: UInt64) {
        var end: UInt32 = 0
        var lastWasFree = false
        var free = 0
        var used = 0
        allocator.forEachNode { node in
            let isFree = node.owner == ExtentAllocator.none
            #expect(node.unit >= end, "nodes overlap; seed \(seed)")
            if node.unit == end, end > 0 {
                #expect(!(isFree && lastWasFree), "free neighbours; seed \(seed)")
            }
            end = node.unit + node.count
            lastWasFree = isFree
            if isFree { free += Int(node.count) } else { used += Int(node.count) }
        }
        #expect(free == allocator.unitsFree)
        #expect(used == held.values.reduce(0) { $0 + Int($1) })
        for (node, count) in held { #expect(allocator.count(of: node) == count) }
    }

    @Test func withdrawnMemoryIsNotHandedOut() {
        var allocator = ExtentAllocator(entries: 4)
        allocator.add(unit: 0, count: 300)
        let free = allocator.longestFree(limit: 1)[0]
        allocator.withdraw(unit: 100, count: 100, from: free)
        #expect(allocator.unitsFree == 200)
        #expect(allocator.allocate(101, owner: 1) == nil)
        allocator.add(unit: 100, count: 100)
        #expect(allocator.allocate(300, owner: 1) != nil)
    }

    @Test func recoveredExtentsAreCarvedOut() {
        var allocator = ExtentAllocator(entries: 4)
        allocator.add(unit: 0, count: 100)
        allocator.add(unit: 200, count: 100)
        let nodes = allocator.place([(0, 10, 7), (50, 1, 8), (51, 49, 9), (299, 1, 10)])
        #expect(nodes.map { allocator.unit(of: $0) } == [0, 50, 51, 299])
        #expect(nodes.map { allocator.owner(of: $0) } == [7, 8, 9, 10])
        #expect(allocator.unitsFree == 40 + 99)
        for node in nodes { allocator.free(node) }
        #expect(allocator.allocate(100, owner: 1) != nil)
        #expect(allocator.allocate(100, owner: 2) != nil)
    }

    @Test(arguments: [1, 15, 16, 17, 31, 32, 33, 1000, 32767, 32768] as [UInt32])
    func exactFitIsFound(count: UInt32) {
        var allocator = ExtentAllocator(entries: 4)
        allocator.add(unit: 0, count: count)
        #expect(allocator.allocate(count + 1, owner: 1) == nil)
        #expect(allocator.allocate(count, owner: 1) != nil)
        #expect(allocator.unitsFree == 0)
    }
}
