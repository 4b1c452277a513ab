/// Deadlines → tokens, with O(1) schedule and cancel: a hierarchy of six wheels of 64 slots.
///
/// One tick is a millisecond; the top wheel reaches two years. A timer sits in the wheel whose slots
/// are just fine enough for its distance and moves down as its time comes nearer. Timers fire at the
/// first `advance` at or after their deadline, never before, in order of their ticks.
public struct TimerWheel {
    /// Names one scheduled timer; a stale name is recognised.
    public struct Timer: Hashable, Sendable {
        let node: Int32
        let generation: UInt32

        /// No timer: cancelling it does nothing.
        public static let none = Timer(node: -1, generation: 0)
    }

    private struct Node {
        var tick: UInt64 = 0
        var token: UInt64 = 0
        var next: Int32 = -1
        var previous: Int32 = -1
        var generation: UInt32 = 0
        /// The slot that holds it (wheel × 64 + slot); -1 when free.
        var home: Int32 = -1
    }

    private static let wheels = 6
    private static let bits = 6
    private static let nanosecondsPerTick: UInt64 = 1_000_000

    private var nodes: [Node] = []
    private var freeNode: Int32 = -1
    private var heads = Array(repeating: Int32(-1), count: wheels * 64)
    private var occupied = Array(repeating: UInt64(0), count: wheels)
    /// Every tick up to and including this one has fired.
    private var tick: UInt64
    public private(set) var count = 0

    public init(now: MonotonicTime, capacity: Int = 64) {
        tick = now.nanoseconds / Self.nanosecondsPerTick
        nodes.reserveCapacity(capacity)
    }

    public mutating func schedule(at deadline: MonotonicTime, token: UInt64) -> Timer {
        let rounded =
            deadline.nanoseconds / Self.nanosecondsPerTick
            + (deadline.nanoseconds % Self.nanosecondsPerTick == 0 ? 0 : 1)
        let node = takeNode()
        nodes[Int(node)].tick = max(rounded, tick + 1)
        nodes[Int(node)].token = token
        link(node)
        count += 1
        return Timer(node: node, generation: nodes[Int(node)].generation)
    }

    /// False when the timer has fired or was cancelled already.
    @discardableResult
    public mutating func cancel(_ timer: Timer) -> Bool {
        let index = Int(timer.node)
        guard nodes.indices.contains(index), nodes[index].home >= 0,
            nodes[index].generation == timer.generation
        else { return false }
        unlink(timer.node)
        giveBack(timer.node)
        return true
    }

    /// When `advance` has something to do next; nil without timers. May be early (a move between
    /// wheels), never late.
    public var nextDeadline: MonotonicTime? {
        if count == 0 { return nil }
        var nearest = UInt64.max
        for wheel in 0..<Self.wheels where occupied[wheel] != 0 {
            let shift = UInt64(wheel * Self.bits)
            let position = tick >> shift
            let turned = occupied[wheel].rotatedRight(by: Int((position + 1) & 63))
            let distance = UInt64(turned.trailingZeroBitCount) + 1
            nearest = min(nearest, (position + distance) << shift)
        }
        let (nanoseconds, overflow) = nearest.multipliedReportingOverflow(
            by: Self.nanosecondsPerTick)
        return overflow ? .distantFuture : MonotonicTime(nanoseconds: nanoseconds)
    }

    /// Appends the tokens of all timers due at `now` to `fired`, earliest first.
    public mutating func advance(to now: MonotonicTime, into fired: inout [UInt64]) {
        let target = now.nanoseconds / Self.nanosecondsPerTick
        while tick < target {
            guard count > 0 else {
                tick = target
                return
            }
            tick = min(target, nextStop())
            cascade()
            fire(into: &fired)
        }
    }

    /// The next tick at which a timer fires or a wheel above turns.
    private func nextStop() -> UInt64 {
        let boundary = (tick | 63) + 1
        let turned = occupied[0].rotatedRight(by: Int((tick + 1) & 63))
        if turned == 0 { return boundary }
        return min(boundary, tick + 1 + UInt64(turned.trailingZeroBitCount))
    }

    /// Moves the timers of each upper slot that begins now into finer wheels.
    private mutating func cascade() {
        for wheel in 1..<Self.wheels {
            let shift = UInt64(wheel * Self.bits)
            guard tick & ((1 << shift) - 1) == 0 else { return }
            let slot = wheel * 64 + Int((tick >> shift) & 63)
            var node = heads[slot]
            heads[slot] = -1
            occupied[wheel] &= ~(1 << UInt64(slot & 63))
            while node >= 0 {
                let next = nodes[Int(node)].next
                link(node)
                node = next
            }
        }
    }

    private mutating func fire(into fired: inout [UInt64]) {
        let slot = Int(tick & 63)
        while heads[slot] >= 0 {
            let node = heads[slot]
            fired.append(nodes[Int(node)].token)
            unlink(node)
            giveBack(node)
        }
    }

    private mutating func link(_ node: Int32) {
        let due = nodes[Int(node)].tick
        // A timer of this very tick (while cascading) belongs to the slot about to fire.
        let distance = due - tick
        var wheel = 0
        while wheel < Self.wheels - 1 && distance >= 1 << UInt64((wheel + 1) * Self.bits) {
            wheel += 1
        }
        let reach = UInt64(1) << UInt64(Self.wheels * Self.bits)
        let shown = distance >= reach ? tick + reach - 1 : due
        let slot = wheel * 64 + Int((shown >> UInt64(wheel * Self.bits)) & 63)
        let head = heads[slot]
        nodes[Int(node)].next = head
        nodes[Int(node)].previous = -1
        nodes[Int(node)].home = Int32(slot)
        if head >= 0 { nodes[Int(head)].previous = node }
        heads[slot] = node
        occupied[slot >> 6] |= 1 << UInt64(slot & 63)
    }

    private mutating func unlink(_ node: Int32) {
        let (next, previous) = (nodes[Int(node)].next, nodes[Int(node)].previous)
        let slot = Int(nodes[Int(node)].home)
        if previous >= 0 { nodes[Int(previous)].next = next } else { heads[slot] = next }
        if next >= 0 { nodes[Int(next)].previous = previous }
        if heads[slot] < 0 { occupied[slot >> 6] &= ~(1 << UInt64(slot & 63)) }
    }

    private mutating func takeNode() -> Int32 {
        if freeNode >= 0 {
            let node = freeNode
            freeNode = nodes[Int(node)].next
            return node
        }
        nodes.append(Node())
        return Int32(nodes.count - 1)
    }

    private mutating func giveBack(_ node: Int32) {
        nodes[Int(node)].generation &+= 1
        nodes[Int(node)].home = -1
        nodes[Int(node)].next = freeNode
        freeNode = node
        count -= 1
    }
}

extension UInt64 {
    fileprivate func rotatedRight(by count: Int) -> UInt64 {
        self >> UInt64(count & 63) | self << UInt64((64 - count) & 63)
    }
}
