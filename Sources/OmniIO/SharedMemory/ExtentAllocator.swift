/// Places values in the value area: two-level segregated free lists over 64-byte units, with
/// immediate joining of free neighbours. All bookkeeping is private to the writer.
///
/// Size classes were tried first and failed within a second of mixed sizes: space freed in one
/// class is useless to another. Here any two neighbouring free extents become one.
///
/// Invariant: nodes are linked in address order; no two free nodes touch each other; every free
/// node is in the list of its class. Search, split and join are O(1).
struct ExtentAllocator {
    static let none = UInt32.max
    /// Owner of extents that are neither free nor anybody's.
    private static let withheld = UInt32.max - 1

    struct Node {
        var unit: UInt32
        var count: UInt32
        /// Neighbours by address; a gap between two nodes is memory not taken from the kernel.
        var below: UInt32
        var above: UInt32
        var previousFree: UInt32
        var nextFree: UInt32
        /// The entry that lives here; `none` while free.
        var owner: UInt32
    }

    private(set) var unitsFree = 0
    private var nodes: [Node]
    private var spareNodes = ExtentAllocator.none
    private var first = ExtentAllocator.none
    private var last = ExtentAllocator.none
    private var freeHeads = [UInt32](repeating: .max, count: 30 * 16)
    private var classBitmap = [UInt64](repeating: 0, count: 8)

    /// `entries` extents at most will be in use at a time.
    init(entries: Int) {
        nodes = []
        nodes.reserveCapacity(2 * entries + 64)
    }

    func unit(of node: UInt32) -> UInt32 { nodes[Int(node)].unit }
    func count(of node: UInt32) -> UInt32 { nodes[Int(node)].count }
    func owner(of node: UInt32) -> UInt32 { nodes[Int(node)].owner }
    func below(_ node: UInt32) -> UInt32 { adjacentBelow(node) }
    func above(_ node: UInt32) -> UInt32 { adjacentAbove(node) }
    func isFree(_ node: UInt32) -> Bool { nodes[Int(node)].owner == Self.none }

    /// Takes an extent of `count` units for `owner`, or nothing if no free extent is long enough.
    mutating func allocate(_ count: UInt32, owner: UInt32) -> UInt32? {
        precondition(count > 0 && owner != Self.none, "an extent has units and an owner")
        guard let node = findFree(count) else { return nil }
        unlinkFree(node)
        let extra = nodes[Int(node)].count - count
        nodes[Int(node)].owner = owner
        if extra > 0 {
            nodes[Int(node)].count = count
            let rest = insertNode(
                unit: nodes[Int(node)].unit + count, count: extra, above: node)
            linkFree(rest)
        }
        return node
    }

    /// Gives an extent back; it joins its free neighbours.
    mutating func free(_ node: UInt32) {
        nodes[Int(node)].owner = Self.none
        linkFree(joined(node))
    }

    /// Keeps a free extent from being handed out or joined, until it is given back by `free`.
    mutating func withhold(_ node: UInt32) {
        unlinkFree(node)
        nodes[Int(node)].owner = Self.withheld
    }

    /// The owner of an extent left it; withheld until it is given back.
    mutating func disown(_ node: UInt32) { nodes[Int(node)].owner = Self.withheld }

    /// Declares `[unit, unit + count)` as free memory: newly taken from the kernel.
    mutating func add(unit: UInt32, count: UInt32) {
        let node = insertNode(unit: unit, count: count, above: lastNode(below: unit))
        linkFree(joined(node))
    }

    /// Marks extents of a recovered segment as in use. `extents` ascend, do not overlap and lie in
    /// added memory. Returns one node per extent.
    mutating func place(_ extents: [(unit: UInt32, count: UInt32, owner: UInt32)]) -> [UInt32] {
        var cursor = first
        return extents.map { extent in
            while !isFree(cursor)
                || nodes[Int(cursor)].unit + nodes[Int(cursor)].count < extent.unit + extent.count
            {
                cursor = nodes[Int(cursor)].above
            }
            cursor = carve(
                unit: extent.unit, count: extent.count, owner: extent.owner, from: cursor)
            return cursor
        }
    }

    /// Withdraws a part of the free node `holder`: the memory goes back to the kernel.
    mutating func withdraw(unit: UInt32, count: UInt32, from holder: UInt32) {
        removeNode(carve(unit: unit, count: count, owner: 0, from: holder))
    }

    /// Up to `limit` free nodes, longest first: where clearing the surroundings is cheapest.
    func longestFree(limit: Int) -> [UInt32] {
        var found: [UInt32] = []
        for word in classBitmap.indices.reversed() {
            var bits = classBitmap[word]
            while bits != 0 {
                let bit = 63 - bits.leadingZeroBitCount
                bits &= ~(1 << UInt64(bit))
                var node = freeHeads[word * 64 + bit]
                while node != Self.none {
                    found.append(node)
                    if found.count == limit { return found }
                    node = nodes[Int(node)].nextFree
                }
            }
        }
        return found
    }

    /// The nodes that reach beyond `unit`, from the top down.
    func nodes(endingAbove unit: UInt32) -> [UInt32] {
        var found: [UInt32] = []
        var node = last
        while node != Self.none, nodes[Int(node)].unit + nodes[Int(node)].count > unit {
            found.append(node)
            node = nodes[Int(node)].below
        }
        return found
    }

    /// Walks all nodes in address order.
    func forEachNode(_ body: (Node) -> Void) {
        var node = first
        while node != Self.none {
            body(nodes[Int(node)])
            node = nodes[Int(node)].above
        }
    }

    // MARK: - Free lists

    /// Exact below 16 units, then sixteen classes per power of two.
    private static func sizeClass(_ count: UInt32) -> Int {
        if count < 16 { return Int(count) }
        let log = 31 - count.leadingZeroBitCount
        return (log - 3) * 16 + Int((count >> UInt32(log - 4)) & 15)
    }

    private func findFree(_ count: UInt32) -> UInt32? {
        // Rounded up, every member of the class found is long enough.
        var wanted = count
        if count >= 16 {
            let log = 31 - count.leadingZeroBitCount
            let (sum, overflow) = count.addingReportingOverflow((1 << UInt32(log - 4)) - 1)
            wanted = overflow ? .max : sum
        }
        if let node = firstFree(fromClass: Self.sizeClass(wanted)) { return node }
        // The class below may still hold one that fits; look at a few.
        var node = freeHeads[Self.sizeClass(count)]
        for _ in 0..<16 where node != Self.none {
            if nodes[Int(node)].count >= count { return node }
            node = nodes[Int(node)].nextFree
        }
        return nil
    }

    private func firstFree(fromClass start: Int) -> UInt32? {
        var word = start / 64
        var bits = classBitmap[word] & (UInt64.max << UInt64(start % 64))
        while bits == 0 {
            word += 1
            if word == classBitmap.count { return nil }
            bits = classBitmap[word]
        }
        return freeHeads[word * 64 + bits.trailingZeroBitCount]
    }

    private mutating func linkFree(_ node: UInt32) {
        let sizeClass = Self.sizeClass(nodes[Int(node)].count)
        let head = freeHeads[sizeClass]
        nodes[Int(node)].previousFree = Self.none
        nodes[Int(node)].nextFree = head
        if head != Self.none { nodes[Int(head)].previousFree = node }
        freeHeads[sizeClass] = node
        classBitmap[sizeClass / 64] |= 1 << UInt64(sizeClass % 64)
        unitsFree += Int(nodes[Int(node)].count)
    }

    private mutating func unlinkFree(_ node: UInt32) {
        let item = nodes[Int(node)]
        let sizeClass = Self.sizeClass(item.count)
        if item.previousFree == Self.none {
            freeHeads[sizeClass] = item.nextFree
            if item.nextFree == Self.none {
                classBitmap[sizeClass / 64] &= ~(1 << UInt64(sizeClass % 64))
            }
        } else {
            nodes[Int(item.previousFree)].nextFree = item.nextFree
        }
        if item.nextFree != Self.none {
            nodes[Int(item.nextFree)].previousFree = item.previousFree
        }
        unitsFree -= Int(item.count)
    }

    /// Cuts `[unit, unit + count)` out of the free node `holder` and gives it to `owner`.
    private mutating func carve(
        unit: UInt32, count: UInt32, owner: UInt32, from holder: UInt32
    ) -> UInt32 {
        unlinkFree(holder)
        let whole = nodes[Int(holder)]
        precondition(
            unit >= whole.unit && unit + count <= whole.unit + whole.count,
            "an extent is carved out of the free node around it")
        var node = holder
        if unit > whole.unit {
            nodes[Int(holder)].count = unit - whole.unit
            linkFree(holder)
            node = insertNode(unit: unit, count: count, above: holder)
        } else {
            nodes[Int(holder)].count = count
        }
        nodes[Int(node)].owner = owner
        let rest = whole.unit + whole.count - (unit + count)
        if rest > 0 { linkFree(insertNode(unit: unit + count, count: rest, above: node)) }
        return node
    }

    // MARK: - Nodes

    private func adjacentBelow(_ node: UInt32) -> UInt32 {
        let below = nodes[Int(node)].below
        guard below != Self.none else { return below }
        let neighbour = nodes[Int(below)]
        return neighbour.unit + neighbour.count == nodes[Int(node)].unit ? below : Self.none
    }

    private func adjacentAbove(_ node: UInt32) -> UInt32 {
        let above = nodes[Int(node)].above
        guard above != Self.none else { return above }
        let item = nodes[Int(node)]
        return item.unit + item.count == nodes[Int(above)].unit ? above : Self.none
    }

    /// Joins an unlisted free node with its free neighbours; returns the node to list.
    private mutating func joined(_ node: UInt32) -> UInt32 {
        var node = node
        let above = adjacentAbove(node)
        if above != Self.none, isFree(above) {
            unlinkFree(above)
            nodes[Int(node)].count += nodes[Int(above)].count
            removeNode(above)
        }
        let below = adjacentBelow(node)
        if below != Self.none, isFree(below) {
            unlinkFree(below)
            nodes[Int(below)].count += nodes[Int(node)].count
            removeNode(node)
            node = below
        }
        return node
    }

    /// New unlisted free node, by address directly above `below`.
    private mutating func insertNode(unit: UInt32, count: UInt32, above below: UInt32) -> UInt32 {
        let above = below == Self.none ? first : nodes[Int(below)].above
        let item = Node(
            unit: unit, count: count, below: below, above: above, previousFree: Self.none,
            nextFree: Self.none, owner: Self.none)
        let node: UInt32
        if spareNodes != Self.none {
            node = spareNodes
            spareNodes = nodes[Int(node)].nextFree
            nodes[Int(node)] = item
        } else {
            node = UInt32(nodes.count)
            nodes.append(item)
        }
        if below == Self.none { first = node } else { nodes[Int(below)].above = node }
        if above == Self.none { last = node } else { nodes[Int(above)].below = node }
        return node
    }

    private mutating func removeNode(_ node: UInt32) {
        let item = nodes[Int(node)]
        if item.below == Self.none {
            first = item.above
        } else {
            nodes[Int(item.below)].above = item.above
        }
        if item.above == Self.none {
            last = item.below
        } else {
            nodes[Int(item.above)].below = item.below
        }
        nodes[Int(node)].nextFree = spareNodes
        spareNodes = node
    }

    /// The last node that starts below `unit`. Growth goes upwards, so the answer is mostly `last`;
    /// only memory that was given back and is taken again makes this walk.
    private func lastNode(below unit: UInt32) -> UInt32 {
        if last != Self.none, nodes[Int(last)].unit < unit { return last }
        var found = Self.none
        var node = first
        while node != Self.none, nodes[Int(node)].unit < unit {
            found = node
            node = nodes[Int(node)].above
        }
        return found
    }
}
