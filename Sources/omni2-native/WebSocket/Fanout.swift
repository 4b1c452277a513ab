import OmniCore
import OmniIO

/// Those whom the fan-out asks when a delivery is not the plain case.
protocol FanoutPeers: AnyObject {
    /// The log has moved past what the subscriber wanted next.
    func lagged(_ slot: Int, missed: UInt64)
    /// The kernel took part of a flight: the rest of the cut frame, to be copied and sent.
    func cut(_ slot: Int, rest: UnsafeRawBufferPointer)
    /// A flight is over, and the connection has bytes of its own waiting.
    func landed(_ slot: Int)
    /// Nothing more can be sent.
    func failed(_ slot: Int)
}

/// One log, a cursor per subscriber: what every published event passes through.
///
/// At the end of a turn each subscriber that is behind and idle gets one send of all that is
/// contiguous for it, straight from the log. The kernel takes what fits at once and never looks at
/// the memory later, so nothing in the log is ever waited for; the rest of a cut frame is copied to
/// the subscriber's own connection. Under load turns grow and sends coalesce by themselves; a drain
/// that took longer than `slowDrain` is followed by a pause of as long in which events gather.
final class Fanout {
    struct Settings {
        var subscribersMax = 10_000
        var logBytesMax = 16 << 20
        var logEventsMax = 65_536
        var classesMax = 4096
        /// Sends in one turn; their completions must fit into the ring's queue with room for others.
        var flightsPerTurnMax = 8192
        var slowDrain = Duration.milliseconds(2)
        var drainPauseMax = Duration.milliseconds(5)
    }

    struct Statistics {
        var published: UInt64 = 0
        var deliveries: UInt64 = 0
        var flights: UInt64 = 0
        var cuts: UInt64 = 0
        /// From the first to the last send of one pass over all subscribers, in seconds.
        var drainTime = Histogram(bounds: Histogram.turnBounds)
    }

    /// What the last subscriber got: most others of the same class get the same.
    /// `@safe`: used within one drain, during which the log does not change.
    @safe
    private struct Window {
        var classID = -1
        var cursor: UInt64 = 0
        var isCompressed = false
        var first: UInt64 = 0
        /// 0: nothing in the log is for this class.
        var count: UInt32 = 0
        var usesCompressed = false
        var bytes = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private let io: any IO
    private let settings: Settings
    let events: EventLog
    let rows: SubscriberRows
    private(set) var matches: ClassMatches
    private unowned let peers: any FanoutPeers
    private(set) var statistics = Statistics()
    private var hasNews = false
    /// Nothing leaves any more: what is published goes to the log, for a successor to deliver.
    var isHeld = false
    /// Where the drain that could not be finished in one turn goes on.
    private var resumeSlot = 0
    private var turn: UInt64 = 0
    /// Before the first drain there is none that the turn could follow.
    private var drainTurn = UInt64.max - 1
    private var drainStart = MonotonicTime.zero
    /// No drain begins before this.
    private var pauseEnd = MonotonicTime.zero

    /// `events`: what a predecessor left; nil begins a log of one's own.
    init(
        io: any IO, settings: Settings, events: EventLog? = nil, peers: any FanoutPeers
    ) throws(SystemError) {
        self.io = io
        self.settings = settings
        self.peers = peers
        self.events =
            if let events { events } else {
                try EventLog(bytesMax: settings.logBytesMax, entriesMax: settings.logEventsMax)
            }
        let events = self.events
        rows = SubscriberRows(capacity: settings.subscribersMax)
        matches = ClassMatches(classesMax: settings.classesMax, entriesMax: events.entriesMax)
    }

    /// How many events the slowest subscriber is behind.
    var lagMax: UInt64 {
        var lag: UInt64 = 0
        for slot in 0..<rows.highWater where !rows[slot].flags.contains(.free) {
            lag = max(lag, events.next &- min(rows[slot].cursor, events.next))
        }
        return lag
    }

    // MARK: Publishing

    /// The sequence number, nil when the event is larger than the log takes.
    func publish(_ payload: RawSpan, facts: EventFacts) -> UInt64? {
        guard payload.byteCount <= events.payloadBytesMax else { return nil }
        let sequence = events.append(payload, facts: facts)
        matches.note(sequence, facts)
        statistics.published += 1
        hasNews = true
        return sequence
    }

    // MARK: Subscribers

    /// Nil when there are as many different classes as allowed.
    func join(_ filterClass: FilterClass) -> Int? { matches.join(filterClass, next: events.next) }

    /// Makes events from `sequence` on available to a class that is younger.
    func cover(_ classID: Int, from sequence: UInt64) {
        matches.cover(classID, from: sequence, in: events)
    }

    func leave(_ classID: Int) { matches.leave(classID) }

    /// The subscriber's class from now on; what it has not got yet is judged by that.
    func adopt(_ classID: Int, _ slot: Int) {
        matches.leave(rows[slot].classID)
        matches.cover(classID, from: rows[slot].cursor, in: events)
        rows[slot].classID = classID
    }

    /// The subscriber goes on behind `sequence`. False when the log does not reach back so far.
    func rewind(_ slot: Int, after sequence: UInt64) -> Bool {
        guard let cursor = events.cursor(after: sequence) else { return false }
        matches.cover(rows[slot].classID, from: cursor, in: events)
        moveCursor(slot, to: cursor)
        hasNews = true
        return true
    }

    /// The subscriber gets only what comes from now on.
    func skip(_ slot: Int) { moveCursor(slot, to: events.next) }

    private func moveCursor(_ slot: Int, to sequence: UInt64) {
        // A flight in the air has left: its end does not move the cursor any more.
        rows[slot].cursor = sequence
        rows[slot].flyingCount = 0
    }

    func block(_ slot: Int, second: UInt32) {
        rows[slot].flags.insert(.blocked)
        rows[slot].beginStall(at: second)
    }

    /// Nothing more until `release`.
    func hold(_ slot: Int) { rows[slot].flags.insert(.held) }

    func release(_ slot: Int) { rows[slot].flags.remove(.held) }

    /// Everything of the connection's own has left.
    func unblock(_ slot: Int) {
        rows[slot].flags.remove(.blocked)
        rows[slot].endStall()
        if rows[slot].cursor < events.next { hasNews = true }
    }

    // MARK: Draining

    /// End of the turn.
    func turnEnds() {
        if resumeSlot == 0, turn == drainTurn &+ 1 { drained() }
        drain()
        turn &+= 1
    }

    /// In the turn after a drain the kernel has taken all of it. Events that come while the ones
    /// before are still being sent, or right behind them, would cost a send each for every
    /// subscriber: so a slow drain is followed by a pause, and after a longer silence there is none.
    private func drained() {
        let cost = io.now - drainStart
        statistics.drainTime.observe(Double(cost.nanosecondsClamped) * 1e-9)
        guard cost > settings.slowDrain else { return }
        pauseEnd = io.now + min(cost, settings.drainPauseMax)
        _ = io.schedule(at: pauseEnd, token: HotKind.hub.token(0, HubClock.drain.rawValue))
    }

    /// Everyone who is behind and idle gets what there is.
    func drain() {
        let isPause = resumeSlot == 0 && io.now < pauseEnd
        guard !isHeld, hasNews, !isPause else { return }
        if resumeSlot == 0 {
            drainStart = io.now
            hasNews = false
        }
        let next = events.next
        var window = Window()
        var budget = settings.flightsPerTurnMax
        var slot = resumeSlot
        let end = rows.highWater
        while slot < end, budget > 0 {
            if rows[slot].flags.isDisjoint(with: .busy), rows[slot].cursor < next {
                if deliver(slot, &window) { budget -= 1 }
            }
            slot += 1
        }
        resumeSlot = slot < end ? slot : 0
        if resumeSlot > 0 { hasNews = true }
        // A drain that sent nothing cost nothing: the next turn may begin after a long wait.
        if budget < settings.flightsPerTurnMax { drainTurn = turn }
    }

    /// True when something took off.
    @inline(__always)
    private func deliver(_ slot: Int, _ window: inout Window) -> Bool {
        let cursor = rows[slot].cursor
        let isCompressed = rows[slot].flags.contains(.compressed)
        if cursor < events.oldest {
            peers.lagged(slot, missed: events.oldest - cursor)
            return false
        }
        if window.classID != rows[slot].classID || window.cursor != cursor
            || window.isCompressed != isCompressed
        {
            window = makeWindow(rows[slot].classID, cursor, isCompressed)
        }
        guard window.count > 0 else {
            rows[slot].cursor = events.next
            return false
        }
        rows[slot].cursor = window.first
        rows[slot].flyingCount = window.count
        rows[slot].flyingBytes = unsafe UInt32(window.bytes.count)
        rows[slot].flags.insert(window.usesCompressed ? .compressedFlight : .aloft)
        unsafe io.sendNow(
            on: rows[slot].descriptor, window.bytes,
            token: HotKind.flight.token(rows[slot].generation, UInt32(slot)))
        return true
    }

    private func makeWindow(_ classID: Int, _ cursor: UInt64, _ isCompressed: Bool) -> Window {
        var window = Window()
        window.classID = classID
        window.cursor = cursor
        window.isCompressed = isCompressed
        guard let first = matches.first(of: classID, from: cursor, before: events.next) else {
            return window
        }
        let last = matches.lastOfRun(of: classID, from: first, before: events.next)
        window.first = first
        window.count = UInt32(last - first + 1)
        window.usesCompressed = isCompressed && events.compress(first, through: last)
        unsafe window.bytes = unsafe events.frames(
            first, through: last, compressed: window.usesCompressed)
        return window
    }

    // MARK: Landing

    func flown(_ completions: Completions) {
        var flights: UInt64 = 0
        var deliveries: UInt64 = 0
        for index in completions.indices {
            let completion = completions[index]
            let slot = Int(completion.token.slot)
            guard slot < rows.highWater, rows[slot].generation == completion.token.generation,
                rows[slot].flags.contains(.aloft)
            else { continue }
            flights += 1
            deliveries += landed(slot, completion.result)
        }
        statistics.flights += flights
        statistics.deliveries += deliveries
    }

    /// How many events have arrived.
    @inline(__always)
    private func landed(_ slot: Int, _ result: Int32) -> UInt64 {
        let wasCompressed = rows[slot].flags.contains(.flightIsCompressed)
        rows[slot].flags.subtract(.compressedFlight)
        let count = UInt64(rows[slot].flyingCount)
        guard result == Int32(bitPattern: rows[slot].flyingBytes) else {
            return landedShort(slot, result, count, wasCompressed)
        }
        rows[slot].cursor += count
        rows[slot].flyingCount = 0
        if rows[slot].cursor < events.next { hasNews = true }
        if rows[slot].flags.contains(.blocked) { peers.landed(slot) }
        return count
    }

    private func landedShort(
        _ slot: Int, _ result: Int32, _ count: UInt64, _ wasCompressed: Bool
    ) -> UInt64 {
        let first = rows[slot].cursor
        // EAGAIN is a full socket: nothing went.
        guard result >= 0 || result == -11, count > 0,
            let (sequence, rest) = unsafe events.cut(
                first, through: first + count - 1, compressed: wasCompressed,
                after: max(0, Int(result)))
        else {
            peers.failed(slot)
            return 0
        }
        statistics.cuts += 1
        rows[slot].cursor = sequence + 1
        rows[slot].flyingCount = 0
        unsafe peers.cut(slot, rest: rest)
        peers.landed(slot)
        return sequence - first + 1
    }
}

/// What the hub's timers are for: the slot of their token.
enum HubClock: UInt32 {
    case second
    case drain
}
