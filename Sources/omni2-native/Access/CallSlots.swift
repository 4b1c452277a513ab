import OmniCore
import OmniIO

/// How many calls run at a time, for one principal and for one server. What is beyond waits its turn
/// within its own deadline, first come first served; the queue is bounded, and who finds it full is
/// told at once.
final class CallSlots {
    struct Settings {
        var perPrincipalMax = 64
        var perServerMax = 64
        /// Calls that wait for one principal or one server.
        var waitingMax = 256
    }

    enum Refusal: Error, Equatable {
        /// The queue of the caller, or of the server, is full.
        case full
        /// The deadline came first.
        case timedOut
    }

    /// Gives the place back; exactly once.
    final class Pass {
        fileprivate let lanes: [Lane]
        fileprivate init(_ lanes: [Lane]) { self.lanes = lanes }
    }

    fileprivate final class Lane {
        let key: String
        let runningMax: Int
        var running = 0
        var waiting: [WaitTicket] = []

        init(_ key: String, _ runningMax: Int) {
            self.key = key
            self.runningMax = runningMax
        }
    }

    private let io: any IO
    private let settings: Settings
    private var lanes: [String: Lane] = [:]

    init(io: any IO, settings: Settings = Settings()) {
        self.io = io
        self.settings = settings
    }

    /// Calls that run or wait for somebody or something at this moment.
    var lanesInUse: Int { lanes.count }

    func enter(
        principal: String, server: Int, until deadline: MonotonicTime
    ) async throws(Refusal) -> Pass {
        let mine = lane("p:" + principal, settings.perPrincipalMax)
        try await join(mine, until: deadline)
        let theirs = lane("s:\(server)", settings.perServerMax)
        do throws(Refusal) {
            try await join(theirs, until: deadline)
        } catch {
            leave(mine)
            throw error
        }
        return Pass([mine, theirs])
    }

    func leave(_ pass: Pass) { for lane in pass.lanes { leave(lane) } }

    private func lane(_ key: String, _ runningMax: Int) -> Lane {
        if let lane = lanes[key] { return lane }
        let lane = Lane(key, runningMax)
        lanes[key] = lane
        return lane
    }

    private func join(_ lane: Lane, until deadline: MonotonicTime) async throws(Refusal) {
        if lane.running < lane.runningMax, lane.waiting.isEmpty {
            lane.running += 1
            return
        }
        guard lane.waiting.count < settings.waitingMax else { throw .full }
        let ticket = io.makeTicket()
        lane.waiting.append(ticket)
        // Whoever wakes us has given us its place.
        if await io.wait(for: ticket, until: deadline) { return }
        if let position = lane.waiting.firstIndex(of: ticket) {
            lane.waiting.remove(at: position)
        } else {
            // Given in the same moment as the deadline came: on to the next.
            leave(lane)
        }
        throw .timedOut
    }

    private func leave(_ lane: Lane) {
        if lane.waiting.isEmpty {
            lane.running -= 1
            if lane.running == 0 { lanes[lane.key] = nil }
        } else {
            io.wake(lane.waiting.removeFirst())
        }
    }
}
