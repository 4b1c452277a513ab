/// Doubly linked lists over slot numbers, all links in one array taken at start.
///
/// The writer orders its entries three ways (by use, by expiry, by tool) with one table each.
/// A slot is in at most one list of a table; a list is two numbers, so joining two is O(1).
struct SlotLinks {
    static let none = UInt32.max

    private struct Link {
        var previous: UInt32
        var next: UInt32
    }
    private var links: [Link]

    init(count: Int) {
        links = Array(repeating: Link(previous: Self.none, next: Self.none), count: count)
    }

    func next(_ slot: UInt32) -> UInt32 { links[Int(slot)].next }
    func previous(_ slot: UInt32) -> UInt32 { links[Int(slot)].previous }

    mutating func append(_ slot: UInt32, to list: inout SlotList) {
        links[Int(slot)] = Link(previous: list.tail, next: Self.none)
        if list.tail == Self.none {
            list.head = slot
        } else {
            links[Int(list.tail)].next = slot
        }
        list.tail = slot
    }

    /// Puts `slot` directly behind `other`, which is in `list`.
    mutating func insert(_ slot: UInt32, after other: UInt32, in list: inout SlotList) {
        let next = links[Int(other)].next
        guard next != Self.none else { return append(slot, to: &list) }
        links[Int(slot)] = Link(previous: other, next: next)
        links[Int(other)].next = slot
        links[Int(next)].previous = slot
    }

    mutating func prepend(_ slot: UInt32, to list: inout SlotList) {
        guard list.head != Self.none else { return append(slot, to: &list) }
        links[Int(slot)] = Link(previous: Self.none, next: list.head)
        links[Int(list.head)].previous = slot
        list.head = slot
    }

    mutating func remove(_ slot: UInt32, from list: inout SlotList) {
        let link = links[Int(slot)]
        if link.previous == Self.none {
            list.head = link.next
        } else {
            links[Int(link.previous)].next = link.next
        }
        if link.next == Self.none {
            list.tail = link.previous
        } else {
            links[Int(link.next)].previous = link.previous
        }
    }

    /// Moves everything in `source` behind `target`, in order.
    mutating func splice(_ source: inout SlotList, behind target: inout SlotList) {
        guard source.head != Self.none else { return }
        if target.tail == Self.none {
            target.head = source.head
        } else {
            links[Int(target.tail)].next = source.head
            links[Int(source.head)].previous = target.tail
        }
        target.tail = source.tail
        source = SlotList()
    }
}

/// First and last slot; what lies between is in a `SlotLinks`.
struct SlotList {
    fileprivate(set) var head = SlotLinks.none
    fileprivate(set) var tail = SlotLinks.none

    var isEmpty: Bool { head == SlotLinks.none }
}
