import OmniCore
import OmniIO

/// The dashboards' hub: who is connected, what they ask for, and who has to go.
///
/// Events travel through `Fanout`; this is everything around it: the protocol of the dashboards,
/// snapshots, resumption, limits, and once per second a look at everybody.
final class WebSocketHub: WebSocketApplication {
    struct Settings {
        var fanout = Fanout.Settings()
        var subscriptionsMax = 64
        /// One event from outside.
        var publishedBytesMax = 256 << 10
        /// 0: no limit of its own.
        var perIdentityMax = 0
        var perAddressMax = 0
        var streamsMax = 1000
        /// What the kernel may keep for one subscriber.
        var sendBufferBytes: Int32 = 64 << 10
        var pingInterval = Duration.seconds(20)
        /// Nothing came from the peer, not even a pong.
        var staleTime = Duration.seconds(300)
        /// The peer takes nothing although there is something.
        var stallTime = Duration.seconds(60)
        var resyncsLagging = true
    }

    struct Statistics {
        var resyncs: UInt64 = 0
        var resumed: UInt64 = 0
        var stalled: UInt64 = 0
        var refused: UInt64 = 0
        var tooLarge: UInt64 = 0
    }

    private let io: any IO
    private let clock: WallClock
    private let log: Log
    private let settings: Settings
    /// Set once, at the end of `init`: it knows the hub as its `peers`.
    private var fan: Fanout?
    private var streaming: EventStreams?
    /// By row.
    private var peers: ContiguousArray<WebSocketConversation?> = []
    private var quota: ConnectionQuota
    private var second: UInt32 = 1
    private var json = JSONWriter()
    private(set) var statistics = Statistics()
    /// Takes what a client publishes to the other hosts.
    var crossing: (ServiceEvent) -> Void = { _ in }
    /// The `mcps` array of `initial_status`, for a principal who may see so much.
    var snapshot: (EventAccess) -> JSONValue = { _ in [] }

    init(io: any IO, clock: WallClock, settings: Settings, log: Log) throws(SystemError) {
        self.io = io
        self.clock = clock
        self.settings = settings
        self.log = log
        quota = ConnectionQuota(
            perIdentityMax: settings.perIdentityMax, perAddressMax: settings.perAddressMax)
        let fanout = try Fanout(io: io, settings: settings.fanout, peers: self)
        fan = fanout
        streaming = EventStreams(fanout, streamsMax: settings.streamsMax) { [unowned self] in
            initialStatus($0, isResync: $1)
        }
    }

    @inline(__always)
    var fanout: Fanout {
        guard let fan else { preconditionFailure("the hub has no fan-out before init ends") }
        return fan
    }

    @inline(__always)
    var streams: EventStreams {
        guard let streaming else { preconditionFailure("the hub has no streams before init ends") }
        return streaming
    }

    var count: Int { fanout.rows.count }
    /// The sequence number of the newest event, 0 before the first.
    var lastSequence: UInt64 { fanout.events.next - 1 }

    func start() {
        log.info(
            "WebSocket broadcaster started",
            fields: [
                "log_bytes": settings.fanout.logBytesMax,
                "max_connections": settings.fanout.subscribersMax,
            ])
        scheduleTick()
    }

    func stop() {
        log.info(
            "WebSocket broadcaster stopped",
            fields: ["connections": count, "published": fanout.statistics.published])
    }

    /// For people who wonder what a dashboard gets.
    var report: JSONValue {
        let (next, live) = (fanout.events.next, peers.compactMap { $0 })
        let connections = live.map { peer -> JSONValue in
            let row = fanout.rows[Int(peer.slot)]
            return [
                "conn_id": JSONValue(Int(peer.slot)), "user_id": .string(peer.principal.id),
                "user_role": .string(peer.principal.role.rawValue),
                "subscriptions": JSONValue(peer.subscriptions.count),
                "subscription_ids": JSONValue(peer.subscriptions.ids),
                "behind": .int(Int64(next - min(row.cursor, next))),
            ]
        }
        let subscriptions = live.reduce(0) { $0 + $1.subscriptions.count }
        return [
            "active_connections": JSONValue(count), "connections": .array(connections),
            "event_streams": JSONValue(streams.count),
            "subscription_stats": [
                "total_connections": JSONValue(count),
                "total_subscriptions": JSONValue(subscriptions),
                "avg_subs_per_conn": .double(
                    count == 0 ? 0 : Double(subscriptions) / Double(count)),
            ],
            "published": .int(Int64(fanout.statistics.published)),
            "deliveries": .int(Int64(fanout.statistics.deliveries)),
            "sends": .int(Int64(fanout.statistics.flights)),
            "cut_sends": .int(Int64(fanout.statistics.cuts)),
            "resyncs": .int(Int64(statistics.resyncs)),
            "resumed": .int(Int64(statistics.resumed)),
            "stalled": .int(Int64(statistics.stalled)),
            "refused": .int(Int64(statistics.refused)),
        ]
    }

    // MARK: Publishing

    /// Puts an event on the bus; its sequence number, nil when it is larger than the log takes.
    @discardableResult
    func publish(_ event: ServiceEvent) -> UInt64? {
        json.beginObject()
        json.member("type", event.type)
        json.member("timestamp", clock.now.eventText)
        json.member("seq", fanout.events.next)
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
        if let sequence = fanout.publish(payload, facts: facts) { return sequence }
        statistics.tooLarge += 1
        log.warning(
            "event is too large, not published",
            fields: ["type": facts.type, "bytes": payload.byteCount])
        return nil
    }

    /// One checkpoint of a flow, for whoever watches its user.
    func publish(_ checkpoint: Checkpoint, of flow: Flow) {
        let bytes = FlowText.live(checkpoint, of: flow, sequence: lastSequence + 1)
        let facts = EventFacts(
            type: FlowTopic.name(of: flow.user), audience: .flow(user: Int64(flow.user)))
        _ = bytes.withRawSpan { publish($0, facts: facts) }
    }

    enum Published {
        case event(UInt64)
        case invalid
        case tooLarge(limit: Int)
    }

    /// An event from outside; the caller has checked who asks.
    func publish(request: JSONValue, crossing: (ServiceEvent) -> Void) -> Published {
        guard let request = PublishRequest(request) else { return .invalid }
        guard request.event.members.count <= settings.publishedBytesMax,
            let sequence = publish(request.event)
        else { return .tooLarge(limit: settings.publishedBytesMax) }
        crossing(request.event)
        return .event(sequence)
    }

    /// Lets go of those for whom there is a message, which they are told first.
    func dismiss(_ message: (Principal) -> String?) {
        for case let peer? in peers {
            guard let text = message(peer.principal) else { continue }
            let farewell: JSONValue = ["type": "blocked", "message": .string(text)]
            peer.send(text: farewell.bytes)
            peer.close(.policyViolation, "blocked")
        }
    }

    /// End of the turn.
    func drain() {
        fanout.drain()
        streams.drain()
    }

    // MARK: Coming and going

    enum Admission {
        case welcome
        /// 503.
        case full
        /// 429.
        case tooManyOfYours(String)
    }

    func mayEnter(_ principal: Principal, address: String?) -> Admission {
        guard count < settings.fanout.subscribersMax else {
            statistics.refused += 1
            return .full
        }
        switch quota.judge(principal.id, address) {
        case .welcome: return .welcome
        case .tooManyOfIdentity:
            statistics.refused += 1
            return .tooManyOfYours("identity")
        case .tooManyOfAddress:
            statistics.refused += 1
            return .tooManyOfYours("address")
        }
    }

    func opened(_ peer: WebSocketConversation) {
        guard let connection = peer.connection else { return }
        let flags: SubscriberRows.Flags = peer.deflateBits == 15 ? .compressed : []
        guard let id = fanout.join(peer.subscriptions.filterClass) else {
            statistics.refused += 1
            return peer.close(.tryAgainLater, "too many different subscriptions")
        }
        guard
            let slot = fanout.rows.claim(
                descriptor: connection.descriptor, classID: id, cursor: fanout.events.next,
                second: second, flags: flags)
        else {
            fanout.leave(id)
            statistics.refused += 1
            return peer.close(.tryAgainLater, "as many connections as allowed")
        }
        peer.slot = Int32(slot)
        if slot == peers.count { peers.append(peer) } else { peers[slot] = peer }
        quota.enter(peer.principal.id, peer.address)
        // A stalled reader falls behind in the log, not in the kernel's memory.
        Sockets.setSendBuffer(connection.descriptor, bytes: settings.sendBufferBytes)
        // The upgrade's own answer leaves first.
        fanout.block(slot, second: second)
        if peer.subscriptions.flowUser != nil {
            // Watchers of a flow get flow events only. The upgrade's answer has left by itself.
            peer.send(text: Self.watching)
        } else if peer.lastSeen != .max {
            resume(peer, peer.lastSeen)
        } else {
            peer.send(text: initialStatus(peer.subscriptions.access, isResync: false))
        }
    }

    func closed(_ peer: WebSocketConversation) {
        guard peer.slot >= 0 else { return }
        let slot = Int(peer.slot)
        fanout.leave(Int(fanout.rows[slot].classID))
        fanout.rows.release(slot)
        peers[slot] = nil
        quota.leave(peer.principal.id, peer.address)
        peer.slot = -1
    }

    func isAloft(_ peer: WebSocketConversation) -> Bool {
        peer.slot >= 0 && fanout.rows[Int(peer.slot)].flags.contains(.aloft)
    }

    func blocked(_ peer: WebSocketConversation) {
        if peer.slot >= 0 { fanout.block(Int(peer.slot), second: second) }
    }

    func drained(_ peer: WebSocketConversation) {
        if peer.slot >= 0 { fanout.unblock(Int(peer.slot)) }
    }

    func heard(_ peer: WebSocketConversation) {
        if peer.slot >= 0 { fanout.rows[Int(peer.slot)].lastHeard = second }
    }

    // MARK: What clients ask for

    func received(_ message: RawSpan, isText: Bool, from peer: WebSocketConversation) {
        guard peer.slot >= 0 else { return }
        heard(peer)
        guard isText else { return }
        switch HubAction(message) {
        case .ping: Self.pong.withRawSpan { peer.send(text: $0) }
        case .metadata: peer.send(text: Self.metadata)
        case .subscribe(let types, let filters): subscribe(peer, types, filters)
        case .unsubscribe(let id): unsubscribe(peer, id)
        case .resume(let since): resume(peer, since)
        case .publish(let request): publish(request, peer)
        case .unknown: break
        }
    }

    private func subscribe(_ peer: WebSocketConversation, _ types: [String], _ filters: JSONValue) {
        let foreign = types.first { topic in
            FlowTopic.user(of: topic).map { !peer.principal.mayWatchFlow(of: $0) } ?? false
        }
        if let foreign { return refuse(peer, "\(foreign) is not yours to watch") }
        var subscriptions = peer.subscriptions
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
        var subscriptions = peer.subscriptions
        subscriptions.remove(id)
        guard adopt(subscriptions, peer) else { return }
        let reply: JSONValue = ["type": "unsubscribed", "subscription_id": .string(id)]
        peer.send(text: reply.bytes)
    }

    private func publish(_ request: JSONValue, _ peer: WebSocketConversation) {
        guard peer.principal.isAdministrator else {
            return refuse(peer, "publishing needs the role super_admin")
        }
        switch publish(request: request, crossing: crossing) {
        case .event(let sequence):
            var reply: JSONValue = ["type": "published", "seq": .int(Int64(sequence))]
            if let id = request["id"] { reply["id"] = id }
            peer.send(text: reply.bytes)
        case .invalid: refuse(peer, PublishRequest.rule)
        case .tooLarge(let limit): refuse(peer, "an event has at most \(limit) bytes")
        }
    }

    private func refuse(_ peer: WebSocketConversation, _ why: String) {
        statistics.refused += 1
        let reply: JSONValue = ["type": "error", "error": .string(why)]
        peer.send(text: reply.bytes)
    }

    /// Moves the peer to the class of its subscriptions; false, and said so, when there is no room.
    private func adopt(_ subscriptions: HubSubscriptions, _ peer: WebSocketConversation) -> Bool {
        guard let id = fanout.join(subscriptions.filterClass) else {
            refuse(peer, "too many different subscriptions on this server")
            return false
        }
        fanout.adopt(id, Int(peer.slot))
        peer.subscriptions = subscriptions
        return true
    }

    /// The peer names the last event it saw: it gets what it missed, or a snapshot.
    private func resume(_ peer: WebSocketConversation, _ since: UInt64) {
        guard fanout.rewind(Int(peer.slot), after: since) else {
            statistics.resyncs += 1
            return resync(peer)
        }
        statistics.resumed += 1
        let reply: JSONValue = ["type": "resumed", "since": .int(Int64(since))]
        peer.send(text: reply.bytes)
    }

    private func resync(_ peer: WebSocketConversation) {
        fanout.skip(Int(peer.slot))
        peer.send(text: initialStatus(peer.subscriptions.access, isResync: true))
    }

    private func initialStatus(_ access: EventAccess, isResync: Bool) -> [UInt8] {
        var status: JSONValue = [
            "type": "initial_status", "timestamp": .string(clock.now.eventText),
            "seq": .int(Int64(lastSequence)),
        ]
        if isResync { status["resync"] = true }
        status["mcps"] = snapshot(access)
        return status.bytes
    }

    private static let pong = Array("pong".utf8)
    private static let watching = Array(#"{"type":"watching"}"#.utf8)
    private static let metadata: [UInt8] = {
        Array(#"{"type":"metadata","data":"#.utf8) + EventCatalogue().metadata() + [0x7D]
    }()

    // MARK: The clock

    private static let tick = Duration.seconds(1)

    private func scheduleTick() {
        _ = io.schedule(
            at: io.now + Self.tick, token: HotKind.hub.token(0, HubClock.second.rawValue))
    }

    func fired(_ token: CompletionToken) {
        // A held-back drain needs only the turn that its timer makes.
        if token.slot == HubClock.second.rawValue { ticked() }
    }

    /// Once per second: pings those whose turn it is, lets go of the silent and the stuck.
    private func ticked() {
        second += 1
        let interval = UInt32(max(1, settings.pingInterval.components.seconds))
        if second % interval == 0, count > 0 { publish(.ping) }
        let stale = max(1, UInt32(clamping: settings.staleTime.components.seconds))
        let stall = max(1, UInt32(clamping: settings.stallTime.components.seconds))
        for slot in peers.indices {
            let row = fanout.rows[slot]
            guard let peer = peers[slot], !peer.isClosing else { continue }
            if row.stalledSince != 0, second - row.stalledSince >= stall {
                statistics.stalled += 1
                peer.giveUp(.tryAgainLater, "does not read")
            } else if second - row.lastHeard >= stale {
                peer.close(.policyViolation, "silent for too long")
            } else if UInt32(slot) % interval == second % interval {
                peer.ping()
            }
        }
        scheduleTick()
    }
}

extension WebSocketHub: FanoutPeers {
    func lagged(_ slot: Int, missed: UInt64) {
        guard let peer = peers[slot] else { return }
        statistics.resyncs += 1
        log.notice(
            "subscriber fell behind the event log", id: .subscriberLagged,
            fields: ["peer": peer.connection?.peerAddress?.host, "missed": missed])
        guard settings.resyncsLagging else {
            return peer.close(.tryAgainLater, "fell behind the event log")
        }
        resync(peer)
    }

    func cut(_ slot: Int, rest: UnsafeRawBufferPointer) {
        unsafe peers[slot]?.send(rest: rest.bytes)
    }

    func landed(_ slot: Int) { peers[slot]?.connection?.flush() }

    func failed(_ slot: Int) { peers[slot]?.connection?.abort() }
}
