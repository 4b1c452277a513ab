internal import OmniCore

/// The one place where a continuation is parked until the ring, a timer or another task resumes it.
///
/// Each wait is a slot with a generation; a completion that names a former tenant is dropped.
struct AwaitedOperations {
    struct Outcome: Sendable {
        let result: Int32
        let flags: UInt32
    }

    /// `@safe`: the continuation is resumed once, by `complete`, which empties the slot.
    @safe
    private struct Wait {
        var continuation: UnsafeContinuation<Outcome, Never>?
        var deadline: TimerWheel.Timer?
        var isTimedOut = false
    }

    private var slots: SlotIndex
    /// As many as there ever were at one time: fresh slots come in ascending order.
    private var waits: [Wait] = []
    /// Completions for waits that had ended; more than a few mean a defect.
    private(set) var staleCount = 0

    init(capacity: Int) {
        slots = SlotIndex(capacity: capacity)
    }

    var count: Int { slots.count }

    /// Nil at the limit: the operation fails with EAGAIN instead of waiting.
    mutating func park() -> CompletionToken? {
        guard let handle = slots.claim() else { return nil }
        let slot = Int(handle.slot)
        if slot == waits.count { waits.append(Wait()) } else { waits[slot] = Wait() }
        return CompletionToken(
            kind: CompletionToken.awaitedKind, generation: handle.generation, slot: handle.slot)
    }

    mutating func attach(
        _ continuation: UnsafeContinuation<Outcome, Never>, deadline: TimerWheel.Timer?,
        to token: CompletionToken
    ) {
        let slot = index(of: token)
        precondition(slot != nil, "a wait lost its slot before it began")
        guard let slot else { return }
        unsafe waits[slot].continuation = unsafe continuation
        waits[slot].deadline = deadline
    }

    /// True when the deadline of a wait that is still on has passed.
    mutating func timedOut(_ token: CompletionToken) -> Bool {
        guard let slot = index(of: token) else { return false }
        waits[slot].deadline = nil
        waits[slot].isTimedOut = true
        return true
    }

    func isLive(_ token: CompletionToken) -> Bool { index(of: token) != nil }

    /// Ends a wait. The caller cancels the timer returned.
    mutating func complete(
        _ token: CompletionToken, result: Int32, flags: UInt32, timeoutCode: Int32
    )
        -> TimerWheel.Timer?
    {
        guard let slot = index(of: token) else {
            staleCount += 1
            return nil
        }
        let wait = waits[slot]
        waits[slot] = Wait()
        slots.release(SlotIndex.Handle(slot: token.slot, generation: token.generation))
        // A result that came in spite of the cancellation is still a result.
        let outcome = wait.isTimedOut && result < 0 ? timeoutCode : result
        unsafe wait.continuation?.resume(returning: Outcome(result: outcome, flags: flags))
        return wait.deadline
    }

    private func index(of token: CompletionToken) -> Int? {
        let handle = SlotIndex.Handle(slot: token.slot, generation: token.generation)
        return slots.contains(handle) ? Int(token.slot) : nil
    }
}
