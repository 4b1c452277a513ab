import OmniCore
import OmniIO

/// Waits for a number of tasks, or for a deadline.
final class Countdown {
    private var remaining: Int
    private let end: Promise<Void>

    init(_ io: any IO, from count: Int) {
        remaining = count
        end = Promise(io)
        if count == 0 { end.fulfil(()) }
    }

    func step() {
        remaining -= 1
        if remaining == 0 { end.fulfil(()) }
    }

    /// False when the deadline came first.
    func ended(until deadline: MonotonicTime) async -> Bool {
        await end.value(until: deadline) != nil
    }
}
