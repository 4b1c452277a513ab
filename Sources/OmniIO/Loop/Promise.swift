public import OmniCore

/// A value that comes later, awaited by any number of tasks of the same ring.
public final class Promise<Value> {
    private let io: any IO
    private var value: Value?
    private var tickets: [WaitTicket] = []

    public init(_ io: any IO) { self.io = io }

    public var isFulfilled: Bool { value != nil }

    /// The first value stays; a later one is ignored (false).
    @discardableResult
    public func fulfil(_ value: Value) -> Bool {
        guard self.value == nil else { return false }
        self.value = value
        let waiting = tickets
        tickets.removeAll()
        for ticket in waiting { io.wake(ticket) }
        return true
    }

    /// Nil when the deadline comes first; others go on waiting.
    public func value(until deadline: MonotonicTime) async -> Value? {
        if let value { return value }
        let ticket = io.makeTicket()
        tickets.append(ticket)
        _ = await io.wait(for: ticket, until: deadline)
        tickets.removeAll { $0 == ticket }
        return value
    }
}
