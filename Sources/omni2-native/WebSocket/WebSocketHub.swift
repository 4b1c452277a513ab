import OmniCore
import OmniIO

/// Fans events out to dashboards: published once, delivered by cursor, drained once per turn.
///
/// A subscriber is a row in a table: its peer, the next event it has not got, its filter class. It
/// has no queue. At the end of a turn each one that is behind and idle gets one send of everything
/// that is contiguous for it, straight from the log. What the kernel does not take at once ends at
/// a frame border: the rest of a cut frame is copied to the peer's own outbox, so that nothing in
/// the log is ever waited for. Who falls behind the log gets a snapshot marked `resync`.
final class WebSocketHub: WebSocketApplication {
    struct Settings {
        var subscribersMax = 10_000
        var logBytesMax = 16 << 20
        var logEventsMax = 65_536
        var subscriptionsMax = 64
        var classesMax = 4096
        var pingInterval = Duration.seconds(20)
        /// Nothing came from the peer, not even a pong.
        var staleTime = Duration.seconds(300)
        /// The peer takes nothing although there is something.
        var stallTime = Duration.seconds(60)
        var resyncsLagging = true
    }

    struct Statistics {
        var published: UInt64 = 0
        var deliveries: UInt64 = 0
        var resyncs: UInt64 = 0
        var stalled: UInt64 = 0
        var refused: UInt64 = 0
        var tooLarge: UInt64 = 0
    }

    private struct Subscriber {
        var peer: WebSocketConversation?
        /// The next event to look at.
        var cursor: UInt64
        var classID: Int32
        /// Of the flight in the air: the last event of it, 0 when there is none.
        var flyingThrough: UInt64 = 0
        /// Seconds on the hub's clock.
        var lastHeard: UInt32
        /// Since when the peer has not taken what there is; 0 while it does.
        var stalledSince: UInt32 = 0
    }

    private let io: any IO
    private let clock: WallClock
    private let log: Log
    private let settings: Settings
    private let events: EventLog
    private var matches: ClassMatches
    private var subscribers: ContiguousArray<Subscriber> = []
    private var freeSlots: [Int32] = []
    private var details: [Int32: HubSubscriptions] = [:]
    private var hasNews = false
    private var second: UInt32 = 1
    private var json = JSONWriter()
    private(set) var statistics = Statistics()
    /// The `mcps` array of `initial_status`, for a principal who may see these servers.
    var snapshot: (ServerAccess) -> JSONValue = { _ in [] }

    init(io: any IO, clock: WallClock, settings: Settings, log: Log) throws(SystemError) {
        self.io = io
        self.clock = clock
        self.settings = settings
        self.log = log
        events = try EventLog(bytesMax: settings.logBytesMax, entriesMax: settings.logEventsMax)
        matches = ClassMatches(classesMax: settings.classesMax, entriesMax: events.entriesMax)
    }

    var count: Int { subscribers.count - freeSlots.count }
    var isFull: Bool { count >= settings.subscribersMax }
    /// The sequence number of the newest event, 0 before the first.
    var lastSequence: UInt64 { events.next - 1 }

    func start() {
        log.info(
            "WebSocket broadcaster started",
            fields: ["log_bytes": settings.logBytesMax, "max_connections": settings.subscribersMax])
        scheduleTick()
    }

    func stop() {
        log.info(
            "WebSocket broadcaster stopped",
            fields: ["connections": count, "published": statistics.published])
    }

    /// For people who wonder what a dashboard gets.
    var report: JSONValue {
        var connections: [JSONValue] = []
        for subscriber in subscribers {
            guard let peer = subscriber.peer, let details = details[peer.slot] else { continue }
            connections.append([
                "conn_id": JSONValue(Int(peer.slot)), "user_id": .string(peer.principal.id),
                "user_role": .string(peer.principal.role.rawValue),
                "subscriptions": JSONValue(details.count),
                "subscription_ids": JSONValue(details.ids),
                "behind": .int(Int64(events.next - min(subscriber.cursor, events.next))),
            ])
        }
        let subscriptions = details.values.reduce(0) { $0 + $1.count }
        return [
            "active_connections": JSONValue(count), "connections": .array(connections),
            "subscription_stats": [
                "total_connections": JSONValue(count),
                "total_subscriptions": JSONValue(subscriptions),
                "avg_subs_per_conn": .double(
                    count == 0 ? 0 : Double(subscriptions) / Double(count)),
            ],
            "published": .int(Int64(statistics.published)),
            "deliveries": .int(Int64(statistics.deliveries)),
            "resyncs": .int(Int64(statistics.resyncs)),
        ]
    }

    // MARK: Publishing

    /// Puts an event on the bus; its sequence number, nil when it is larger than the log takes.
    @discardableResult
    func publish(_ event: ServiceEvent) -> UInt64? {
        json.beginObject()
        json.member("type", event.type)
        json.member("timestamp", clock.now.eventText)
        json.member("seq", events.next)
        json.endObject()
        var bytes = json.take()
        if !event.members.isEmpty {
            bytes[bytes.count - 1] = UInt8(ascii: ",")
            bytes += event.members
            bytes.append(UInt8(ascii: "}"))
        }
        return bytes.withRawSpan { publish($0, facts: event.facts) }
    }

    /// A finished event object, which carries the sequence number `lastSequence + 1`.
    @discardableResult
    func publish(_ payload: RawSpan, facts: EventFacts) -> UInt64? {
        guard payload.byteCount <= events.payloadBytesMax else {
            statistics.tooLarge += 1
            log.warning(
                "event is too large, not published",
                fields: ["type": facts.type, "bytes": payload.byteCount])
            return nil
        }
        let sequence = events.append(payload, facts: facts)
        matches.note(sequence, facts)
        statistics.published += 1
        hasNews = true
        return sequence
    }

    // MARK: Draining

    /// End of the turn: everyone who is behind and idle gets what there is.
    func drain() {
        guard hasNews else { return }
        hasNews = false
        for slot in subscribers.indices { deliver(slot) }
    }

    @inline(__always)
    private func deliver(_ slot: Int) {
        guard subscribers[slot].flyingThrough == 0, let peer = subscribers[slot].peer,
            let connection = peer.connection
        else { return }
        let cursor = subscribers[slot].cursor
        if cursor < events.oldest { return lagged(slot, peer, connection) }
        let id = Int(subscribers[slot].classID)
        guard let first = matches.first(of: id, from: cursor, before: events.next) else {
            subscribers[slot].cursor = events.next
            return
        }
        guard connection.isIdle, connection.isOpen else {
            return noteStall(slot)
        }
        let last = matches.lastOfRun(of: id, from: first, before: events.next)
        subscribers[slot].cursor = first
        subscribers[slot].flyingThrough = last
        unsafe connection.fly(events.frames(first, through: last))
    }

    func flown(_ count: Int, _ peer: WebSocketConversation) {
        let slot = Int(peer.slot)
        let first = subscribers[slot].cursor
        let last = subscribers[slot].flyingThrough
        subscribers[slot].flyingThrough = 0
        guard count < events.byteCountHeld(first, through: last) else {
            statistics.deliveries += last - first + 1
            subscribers[slot].cursor = last + 1
            subscribers[slot].stalledSince = 0
            return
        }
        cut(slot, peer, after: count, first, last)
    }

    /// The kernel took part of a flight: finish the cut frame from a copy of its rest, and wait
    /// until the peer has taken that.
    private func cut(
        _ slot: Int, _ peer: WebSocketConversation, after count: Int, _ first: UInt64,
        _ last: UInt64
    ) {
        var left = count
        var sequence = first
        while sequence <= last {
            let size = events.byteCountHeld(sequence, through: sequence)
            if left < size { break }
            left -= size
            sequence += 1
        }
        statistics.deliveries += sequence - first + 1
        subscribers[slot].cursor = sequence + 1
        noteStall(slot)
        unsafe peer.connection?.send(
            UnsafeRawBufferPointer(rebasing: events.frames(sequence, through: sequence)[left...])
                .bytes)
    }

    func drained(_ peer: WebSocketConversation) {
        let slot = Int(peer.slot)
        guard slot >= 0 else { return }
        subscribers[slot].stalledSince = 0
        if subscribers[slot].cursor < events.next { deliver(slot) }
    }

    private func noteStall(_ slot: Int) {
        if subscribers[slot].stalledSince == 0 { subscribers[slot].stalledSince = second }
    }

    /// The log has moved past what the peer wanted next.
    private func lagged(
        _ slot: Int, _ peer: WebSocketConversation, _ connection: Connection
    ) {
        guard connection.isIdle, connection.isOpen else { return noteStall(slot) }
        let missed = events.oldest - subscribers[slot].cursor
        statistics.resyncs += 1
        log.notice(
            "subscriber fell behind the event log", id: .subscriberLagged,
            fields: ["peer": connection.peerAddress?.host, "missed": missed])
        guard settings.resyncsLagging else {
            return peer.close(.tryAgainLater, "fell behind the event log")
        }
        resync(slot, peer)
    }

    private func resync(_ slot: Int, _ peer: WebSocketConversation) {
        subscribers[slot].cursor = events.next
        peer.send(text: initialStatus(for: peer, isResync: true))
    }

    // MARK: Peers

    func opened(_ peer: WebSocketConversation) {
        let subscriptions = HubSubscriptions(access: .all)
        guard let id = matches.join(subscriptions.filterClass, next: events.next) else {
            statistics.refused += 1
            return peer.close(.tryAgainLater, "too many different subscriptions")
        }
        let subscriber = Subscriber(
            peer: peer, cursor: events.next, classID: Int32(id), lastHeard: second)
        if let slot = freeSlots.popLast() {
            peer.slot = slot
            subscribers[Int(slot)] = subscriber
        } else {
            peer.slot = Int32(subscribers.count)
            subscribers.append(subscriber)
        }
        details[peer.slot] = subscriptions
        peer.send(text: initialStatus(for: peer, isResync: false))
    }

    func closed(_ peer: WebSocketConversation) {
        guard peer.slot >= 0 else { return }
        let slot = Int(peer.slot)
        matches.leave(Int(subscribers[slot].classID))
        subscribers[slot] = Subscriber(peer: nil, cursor: .max, classID: 0, lastHeard: 0)
        details[peer.slot] = nil
        freeSlots.append(peer.slot)
        peer.slot = -1
    }

    func received(_ message: RawSpan, isText: Bool, from peer: WebSocketConversation) {
        guard peer.slot >= 0 else { return }
        subscribers[Int(peer.slot)].lastHeard = second
        guard isText else { return }
        switch HubAction(message) {
        case .ping: Self.pong.withRawSpan { peer.send(text: $0) }
        case .metadata: peer.send(text: Self.metadata)
        case .subscribe(let types, let filters): subscribe(peer, types, filters)
        case .unsubscribe(let id): unsubscribe(peer, id)
        case .resume(let since): resume(peer, since)
        case .unknown: break
        }
    }

    private func subscribe(_ peer: WebSocketConversation, _ types: [String], _ filters: JSONValue) {
        guard var subscriptions = details[peer.slot] else { return }
        guard subscriptions.count < settings.subscriptionsMax else {
            return refuse(peer, "at most \(settings.subscriptionsMax) subscriptions per connection")
        }
        let id = subscriptions.add(types, filters)
        guard adopt(subscriptions, peer) else { return }
        peer.send(
            text: JSONValue.object(
                JSONObject([
                    ("type", "subscribed"), ("subscription_id", .string(id)),
                    ("event_types", JSONValue(types)), ("filters", filters),
                ])
            ).bytes)
    }

    private func unsubscribe(_ peer: WebSocketConversation, _ id: String) {
        guard var subscriptions = details[peer.slot] else { return }
        subscriptions.remove(id)
        guard adopt(subscriptions, peer) else { return }
        let reply: JSONValue = ["type": "unsubscribed", "subscription_id": .string(id)]
        peer.send(text: reply.bytes)
    }

    private func refuse(_ peer: WebSocketConversation, _ why: String) {
        statistics.refused += 1
        let reply: JSONValue = ["type": "error", "error": .string(why)]
        peer.send(text: reply.bytes)
    }

    /// Moves the peer to the class of its subscriptions; false, and said so, when there is no room.
    private func adopt(_ subscriptions: HubSubscriptions, _ peer: WebSocketConversation) -> Bool {
        let slot = Int(peer.slot)
        guard let id = matches.join(subscriptions.filterClass, next: events.next) else {
            refuse(peer, "too many different subscriptions on this server")
            return false
        }
        matches.leave(Int(subscribers[slot].classID))
        // What the peer has not got yet is judged by its new subscriptions.
        matches.cover(id, from: subscribers[slot].cursor, in: events)
        subscribers[slot].classID = Int32(id)
        details[peer.slot] = subscriptions
        return true
    }

    /// The peer names the last event it saw: it gets what it missed, or a snapshot.
    private func resume(_ peer: WebSocketConversation, _ since: UInt64) {
        let slot = Int(peer.slot)
        guard since < events.next, since + 1 >= events.oldest else {
            statistics.resyncs += 1
            return resync(slot, peer)
        }
        matches.cover(Int(subscribers[slot].classID), from: since + 1, in: events)
        subscribers[slot].cursor = since + 1
        let reply: JSONValue = ["type": "resumed", "since": .int(Int64(since))]
        peer.send(text: reply.bytes)
        hasNews = true
    }

    private func initialStatus(for peer: WebSocketConversation, isResync: Bool) -> [UInt8] {
        var status: JSONValue = [
            "type": "initial_status", "timestamp": .string(clock.now.eventText),
            "seq": .int(Int64(lastSequence)),
        ]
        if isResync { status["resync"] = true }
        status["mcps"] = snapshot(details[peer.slot]?.access ?? .none)
        return status.bytes
    }

    private static let pong = Array("pong".utf8)
    private static let metadata: [UInt8] = {
        Array(#"{"type":"metadata","data":"#.utf8) + EventCatalogue().metadata() + [0x7D]
    }()

    // MARK: The clock

    private static let tick = Duration.seconds(1)

    private func scheduleTick() {
        _ = io.schedule(at: io.now + Self.tick, token: HotKind.hub.token())
    }

    /// Once per second: pings those whose turn it is, lets go of the silent and the stuck.
    func ticked() {
        second += 1
        let interval = UInt32(max(1, settings.pingInterval.components.seconds))
        if second % interval == 0, count > 0 { publish(.ping) }
        let stale = UInt32(clamping: settings.staleTime.components.seconds)
        let stall = UInt32(clamping: settings.stallTime.components.seconds)
        for slot in subscribers.indices {
            guard let peer = subscribers[slot].peer else { continue }
            let stalledSince = subscribers[slot].stalledSince
            if stalledSince != 0, second - stalledSince >= max(1, stall) {
                statistics.stalled += 1
                peer.close(.tryAgainLater, "does not read")
                peer.connection?.finish()
            } else if second - subscribers[slot].lastHeard >= stale {
                peer.close(.policyViolation, "silent for too long")
            } else if UInt32(slot) % interval == second % interval {
                peer.ping()
            }
        }
        scheduleTick()
    }
}
