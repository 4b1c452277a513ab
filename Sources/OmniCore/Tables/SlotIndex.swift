/// Hands out slots of a fixed-capacity table as (slot, generation) pairs.
///
/// A pair is never live twice: the generation moves on at every release, so a late completion that
/// names a former tenant is recognised. Storage is taken at start; nothing allocates afterwards.
public struct SlotIndex {
    public struct Handle: Hashable, Sendable {
        public let slot: UInt32
        public let generation: UInt32

        public init(slot: UInt32, generation: UInt32) {
            self.slot = slot
            self.generation = generation
        }
    }

    /// Generations travel in 24 bits of a completion token.
    public static let generationMask: UInt32 = 0xFF_FFFF

    private var generations: [UInt32]
    private var isLive: [Bool]
    private var free: [UInt32]
    public private(set) var count = 0

    public init(capacity: Int) {
        precondition(capacity > 0 && capacity <= 1 << 24, "a slot index holds 1 to 2^24 slots")
        generations = Array(repeating: 1, count: capacity)
        isLive = Array(repeating: false, count: capacity)
        free = (0..<UInt32(capacity)).reversed()
    }

    public var capacity: Int { generations.count }

    /// Nil when every slot is taken: the caller refuses its client.
    public mutating func claim() -> Handle? {
        guard let slot = free.popLast() else { return nil }
        count += 1
        isLive[Int(slot)] = true
        return Handle(slot: slot, generation: generations[Int(slot)])
    }

    public mutating func release(_ handle: Handle) {
        precondition(contains(handle), "released a slot that is not live")
        let slot = Int(handle.slot)
        isLive[slot] = false
        generations[slot] = (generations[slot] &+ 1) & Self.generationMask
        free.append(handle.slot)
        count -= 1
    }

    public func contains(_ handle: Handle) -> Bool {
        let slot = Int(handle.slot)
        return slot < generations.count && isLive[slot]
            && generations[slot] == handle.generation
    }
}
