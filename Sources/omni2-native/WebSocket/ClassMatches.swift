import OmniCore

/// Which events of the log each filter class gets: one bit per event and class.
///
/// An event is matched once per class when it is published. A class that appears later is matched
/// against older events only when somebody wants them: `cover`.
struct ClassMatches {
    private var table: FilterClassTable
    private var verdict = FilterVerdict()
    /// By class: a bit per place in the log.
    private var bits: [[UInt64]] = []
    /// By class: events from this one on have been matched.
    private var validFrom: [UInt64] = []
    private let words: Int
    private let mask: UInt64

    init(classesMax: Int, entriesMax: Int) {
        table = FilterClassTable(classesMax: classesMax)
        words = max(1, entriesMax / 64)
        mask = UInt64(entriesMax - 1)
    }

    var count: Int { table.count }

    subscript(id: Int) -> FilterClass? { table[id] }

    /// Nil when there are as many different classes as allowed.
    mutating func join(_ filterClass: FilterClass, next: UInt64) -> Int? {
        guard let id = table.intern(filterClass) else { return nil }
        while bits.count <= id {
            bits.append(Array(repeating: 0, count: words))
            validFrom.append(next)
        }
        if table.members(of: id) == 1 { validFrom[id] = next }
        return id
    }

    mutating func leave(_ id: Int) { table.release(id) }

    /// Matches a new event with all classes.
    mutating func note(_ sequence: UInt64, _ facts: EventFacts) {
        table.evaluate(facts, into: &verdict)
        let index = Int(sequence & mask)
        let bit = UInt64(1) << UInt64(index & 63)
        for id in 0..<table.idCount {
            if verdict.contains(id) {
                bits[id][index >> 6] |= bit
            } else {
                bits[id][index >> 6] &= ~bit
            }
        }
    }

    /// Makes the verdicts on events from `sequence` on available to a class that is younger.
    mutating func cover(_ id: Int, from sequence: UInt64, in log: EventLog) {
        let start = max(sequence, log.oldest)
        guard start < validFrom[id], let filterClass = table[id] else { return }
        for older in start..<min(validFrom[id], log.next) {
            let index = Int(older & mask)
            let bit = UInt64(1) << UInt64(index & 63)
            let isWanted = log.facts(of: older).map(filterClass.matches) ?? false
            if isWanted { bits[id][index >> 6] |= bit } else { bits[id][index >> 6] &= ~bit }
        }
        validFrom[id] = start
    }

    /// The first event from `sequence` on, before `end`, that the class gets.
    @inline(__always)
    func first(of id: Int, from sequence: UInt64, before end: UInt64) -> UInt64? {
        var place = sequence
        while place < end {
            let index = Int(place & mask)
            let rest = bits[id][index >> 6] >> UInt64(index & 63)
            if rest != 0 {
                let found = place + UInt64(rest.trailingZeroBitCount)
                return found < end ? found : nil
            }
            place += UInt64(64 - (index & 63))
        }
        return nil
    }

    /// The last of the events that follow `sequence` without a gap, before `end`.
    @inline(__always)
    func lastOfRun(of id: Int, from sequence: UInt64, before end: UInt64) -> UInt64 {
        var place = sequence
        while place < end {
            let index = Int(place & mask)
            let rest = ~(bits[id][index >> 6] >> UInt64(index & 63))
            let run = UInt64(min(rest.trailingZeroBitCount, 64 - (index & 63)))
            place += run
            if Int(run) < 64 - (index & 63) { break }
        }
        return min(place, end) - 1
    }
}
