/// The order of slots by use: a doubly linked list inside two arrays, without values.
///
/// Slots are numbers below `capacity` that somebody else hands out. Every operation is a handful of
/// array accesses; nothing is allocated after `init`.
public struct LRUIndex: Sendable {
    private static let none = UInt32.max

    /// Per slot: the slot used next before it, and next after it. A slot outside the list has itself
    /// as `newer`, which no linked slot can have.
    private var older: [UInt32]
    private var newer: [UInt32]
    private var newestSlot = LRUIndex.none
    private var oldestSlot = LRUIndex.none
    public private(set) var count = 0

    public init(capacity: Int) {
        precondition(capacity < Int(UInt32.max), "slots are 32 bits wide")
        older = [UInt32](repeating: Self.none, count: capacity)
        newer = (0..<UInt32(capacity)).map { $0 }
    }

    public var capacity: Int { older.count }
    public var isEmpty: Bool { count == 0 }
    public var newest: Int? { newestSlot == Self.none ? nil : Int(newestSlot) }
    public var oldest: Int? { oldestSlot == Self.none ? nil : Int(oldestSlot) }

    public func contains(_ slot: Int) -> Bool { newer[slot] != UInt32(slot) }

    /// Makes `slot` the newest; enters it when it is not there.
    public mutating func use(_ slot: Int) {
        if newestSlot == UInt32(slot) { return }
        if contains(slot) { unlink(slot) } else { count += 1 }
        older[slot] = newestSlot
        newer[slot] = Self.none
        if newestSlot == Self.none {
            oldestSlot = UInt32(slot)
        } else {
            newer[Int(newestSlot)] = UInt32(slot)
        }
        newestSlot = UInt32(slot)
    }

    /// False when it was not there.
    @discardableResult
    public mutating func remove(_ slot: Int) -> Bool {
        guard contains(slot) else { return false }
        unlink(slot)
        newer[slot] = UInt32(slot)
        count -= 1
        return true
    }

    /// Takes the slot that was not used for longest.
    public mutating func removeOldest() -> Int? {
        guard let slot = oldest else { return nil }
        remove(slot)
        return slot
    }

    public mutating func removeAll() {
        while removeOldest() != nil {}
    }

    /// The next newer slot, for walking from `oldest`; nil at the newest.
    public func newer(than slot: Int) -> Int? {
        precondition(contains(slot), "only a slot in the list has neighbours")
        return newer[slot] == Self.none ? nil : Int(newer[slot])
    }

    /// The next older slot, for walking from `newest`; nil at the oldest.
    public func older(than slot: Int) -> Int? {
        precondition(contains(slot), "only a slot in the list has neighbours")
        return older[slot] == Self.none ? nil : Int(older[slot])
    }

    private mutating func unlink(_ slot: Int) {
        let before = older[slot]
        let after = newer[slot]
        if before == Self.none { oldestSlot = after } else { newer[Int(before)] = after }
        if after == Self.none { newestSlot = before } else { older[Int(after)] = before }
    }
}
