/// Which entries are due: one first-in-first-out queue per distinct life.
///
/// Entries of equal life expire in the order they were put, so each queue is sorted by itself and
/// both ends are O(1). The number of distinct lives is bounded; queue 0 takes what is left over
/// and whatever a recovery found, by a bounded search from its end. An entry that comes to lie too
/// far back is reclaimed late, which nobody sees: every lookup checks the expiry itself.
struct ExpiryQueues {
    static let classesMax = 64
    private static let searchMax = 64

    private var links: SlotLinks
    private var lists = [SlotList](repeating: SlotList(), count: classesMax)
    private var lives = [UInt64](repeating: 0, count: classesMax)
    private var expiries: [UInt64]
    /// No entry is due before this; may be early after a removal.
    private(set) var nextDue = UInt64.max

    init(count: Int) {
        links = SlotLinks(count: count)
        expiries = Array(repeating: 0, count: count)
    }

    /// Adds `slot`, which ends at `expires` after a life of `life`. Returns its queue, which
    /// `remove` wants back.
    mutating func add(_ slot: UInt32, expires: UInt64, life: UInt64) -> UInt8 {
        expiries[Int(slot)] = expires
        nextDue = min(nextDue, expires)
        let queue = queueFor(life: life)
        let tail = lists[queue].tail
        if tail == SlotLinks.none || expiries[Int(tail)] <= expires {
            links.append(slot, to: &lists[queue])
        } else if expires <= expiries[Int(lists[queue].head)] {
            links.prepend(slot, to: &lists[queue])
        } else {
            insertSorted(slot, expires: expires, queue: queue)
        }
        return UInt8(queue)
    }

    /// The life of the entries in a queue; 0 for the one of mixed lives.
    func life(ofQueue queue: UInt8) -> UInt64 { lives[Int(queue)] }

    mutating func remove(_ slot: UInt32, queue: UInt8) {
        links.remove(slot, from: &lists[Int(queue)])
    }

    /// An entry whose time is over at `now`, if any.
    mutating func due(at now: UInt64) -> UInt32? {
        guard now >= nextDue else { return nil }
        var earliest = UInt64.max
        for list in lists where !list.isEmpty {
            if expiries[Int(list.head)] <= now { return list.head }
            earliest = min(earliest, expiries[Int(list.head)])
        }
        nextDue = earliest
        return nil
    }

    private mutating func queueFor(life: UInt64) -> Int {
        guard life > 0 else { return 0 }
        for queue in 1..<Self.classesMax {
            if lives[queue] == life { return queue }
            if lives[queue] == 0 {
                lives[queue] = life
                return queue
            }
        }
        for queue in 1..<Self.classesMax where lists[queue].isEmpty {
            lives[queue] = life
            return queue
        }
        return 0
    }

    private mutating func insertSorted(_ slot: UInt32, expires: UInt64, queue: Int) {
        var before = lists[queue].tail
        for _ in 0..<Self.searchMax {
            if before == SlotLinks.none { return links.prepend(slot, to: &lists[queue]) }
            if expiries[Int(before)] <= expires { break }
            before = links.previous(before)
        }
        if before == SlotLinks.none { return links.prepend(slot, to: &lists[queue]) }
        links.insert(slot, after: before, in: &lists[queue])
    }
}
