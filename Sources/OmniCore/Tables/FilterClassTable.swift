/// Gives equal filter classes one number, so that an event is matched once per class however many
/// connections share it.
///
/// Numbers are small and reused after the last connection of a class is gone; they index the
/// verdicts `evaluate` writes. With `classesMax` different classes in use, `intern` answers nil and
/// the connection that asked is told that its subscription is one too many.
public struct FilterClassTable: Sendable {
    public typealias ClassID = Int

    private struct Entry: Sendable {
        var filterClass: FilterClass
        var members: Int
    }

    private var entries: [Entry?] = []
    private var numbers: [FilterClass: ClassID] = [:]
    private var free: [ClassID] = []
    public let classesMax: Int

    public init(classesMax: Int) {
        precondition(classesMax > 0, "there is room for one class at least")
        self.classesMax = classesMax
    }

    /// Classes in use.
    public var count: Int { numbers.count }
    /// One more than the largest number in use so far: the size a verdict needs.
    public var idCount: Int { entries.count }

    /// The number of the class, with one more member; nil when the table is full.
    public mutating func intern(_ filterClass: FilterClass) -> ClassID? {
        if let id = numbers[filterClass] {
            entries[id]?.members += 1
            return id
        }
        guard numbers.count < classesMax else { return nil }
        let id = free.popLast() ?? entries.count
        let entry = Entry(filterClass: filterClass, members: 1)
        if id == entries.count { entries.append(entry) } else { entries[id] = entry }
        numbers[filterClass] = id
        return id
    }

    /// One member less; the number is free for another class after the last one.
    public mutating func release(_ id: ClassID) {
        guard var entry = entries[id] else {
            preconditionFailure("a class is released once per intern")
        }
        entry.members -= 1
        guard entry.members == 0 else {
            entries[id] = entry
            return
        }
        entries[id] = nil
        numbers[entry.filterClass] = nil
        free.append(id)
    }

    public subscript(id: ClassID) -> FilterClass? { entries[id]?.filterClass }

    public func members(of id: ClassID) -> Int { entries[id]?.members ?? 0 }

    /// Which classes get the event. The verdict's storage is reused from event to event.
    public func evaluate(_ event: EventFacts, into verdict: inout FilterVerdict) {
        verdict.clear(count: entries.count)
        for id in entries.indices {
            guard let entry = entries[id], entry.filterClass.matches(event) else { continue }
            verdict.insert(id)
        }
    }
}

/// A set of class numbers: one bit each.
public struct FilterVerdict: Hashable, Sendable {
    public private(set) var words: [UInt64] = []

    public init() {}

    public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    /// False for a number that did not exist when the event was matched.
    @inline(__always)
    public func contains(_ id: Int) -> Bool {
        id >> 6 < words.count && words[id >> 6] & (1 << UInt64(id & 63)) != 0
    }

    mutating func clear(count: Int) {
        let needed = (count + 63) >> 6
        for index in words.indices { words[index] = 0 }
        while words.count < needed { words.append(0) }
    }

    mutating func insert(_ id: Int) { words[id >> 6] |= 1 << UInt64(id & 63) }
}
