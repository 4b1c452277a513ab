import OmniCore
import OmniIO

/// Lets one loop sleep until its deadline or until somebody has work for it.
///
/// A ring before the wait is not lost: the next wait returns at once. One loop waits, any number ring.
final class Alarm {
    private let io: any IO
    private var hasRung = false
    private var ticket: WaitTicket?

    init(_ io: any IO) { self.io = io }

    func ring() {
        hasRung = true
        if let ticket { io.wake(ticket) }
    }

    func wait(until deadline: MonotonicTime) async {
        if !hasRung {
            let ticket = io.makeTicket()
            self.ticket = ticket
            _ = await io.wait(for: ticket, until: deadline)
            self.ticket = nil
            // At the ring's limit of waits none is granted: go round by the offload thread then.
            if !hasRung, io.now < deadline { await io.offload {} }
        }
        hasRung = false
    }
}
