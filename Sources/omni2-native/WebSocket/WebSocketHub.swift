import OmniCore
import OmniIO

/// The dashboards' hub: who is connected, what they ask for, and who has to go.
///
/// Events travel through `Fanout`; this is everything around it: snapshots, resumption, limits, and
/// once per second a look at everybody. The protocol of the dashboards is in `WebSocketHub+Actions`.
///
/// There is one per ring. The main ring's gives the events their numbers; the hub of another ring
/// gets them by `Shards` and has an `office` that asks the main ring what only that can tell.
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
    let settings: Settings
    /// Nil on the main ring.
    let office: (any HubOffice)?
    /// Set once, at the end of `init`: it knows the hub as its `peers`.
    private var fan: Fanout?
    private var streaming: EventStreams?
    /// By row.
    private(set) var peers: ContiguousArray<WebSocketConversation?> = []
    private(set) var seats: HubSeats
    var wishes = SharedSubscriptions()
    /// Far from 0, so that a connection of a predecessor may have been silent for long.
    private(set) var second = WebSocketHub.firstSecond
    private static let firstSecond: UInt32 = 1 << 24
    var statistics = Statistics()
    /// Every event, finished, for whoever passes it on to other rings.
    var relay: (RawSpan, EventFacts) -> Void = { _, _ in }
    /// The same for changes of permission.
    var relayAccess: (Principal, EventAccess?, _ farewell: String?) -> Void = { _, _, _ in }
    /// Takes what a client publishes to the other hosts.
    var crossing: (ServiceEvent) -> Void = { _ in }
    /// The `mcps` array of `initial_status`, for a principal who may see so much.
    var snapshot: (EventAccess) -> JSONValue = { _ in [] }

    init(
        io: any IO, clock: WallClock, settings: Settings, events: EventLog? = nil, log: Log,
        office: (any HubOffice)? = nil
    ) throws(SystemError) {
        self.io = io
        self.clock = clock
        self.settings = settings
        self.log = log
        self.office = office
        seats = HubSeats(
            countMax: settings.fanout.subscribersMax,
            quota: ConnectionQuota(
                perIdentityMax: settings.perIdentityMax, perAddressMax: settings.perAddressMax))
        let fanout = try Fanout(
            io: io, settings: settings.fanout, events: events, peers: self)
        fan = fanout
        peers.reserveCapacity(settings.fanout.subscribersMax)
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

    /// Subscribers of all rings, those on their way included.
    var count: Int { office == nil ? seats.count : fanout.rows.count }
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

    // MARK: Publishing

    /// Puts an event on the bus; its sequence number, nil when it is larger than the log takes.
    @discardableResult
    func publish(_ event: ServiceEvent) -> UInt64? {
        var json = JSONWriter(reserving: event.members.count + 128)
        json.object { json in
            json.member("type", event.type)
            json.member("timestamp", clock.now.eventText)
            json.member("seq", fanout.events.next)
            json.members(raw: event.members)
        }
        return json.take().withRawSpan { publish($0, facts: event.facts) }
    }

    /// A finished event object, which carries the sequence number `lastSequence + 1`.
    @discardableResult
    func publish(_ payload: RawSpan, facts: EventFacts) -> UInt64? {
        if let sequence = fanout.publish(payload, facts: facts) {
            relay(payload, facts)
            return sequence
        }
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

    /// An event from outside; the caller has checked who asks. Nil when it is too large.
    func publish(_ request: PublishRequest, crossing: (ServiceEvent) -> Void) -> UInt64? {
        guard request.event.members.count <= settings.publishedBytesMax,
            let sequence = publish(request.event)
        else { return nil }
        crossing(request.event)
        return sequence
    }

    /// End of the turn.
    func turnEnds() {
        fanout.turnEnds()
        if fanout.isHeld { return }
        streams.drain()
    }

    // MARK: Coming and going

    /// Whether there is room for one more; counts those who are sent away.
    func mayEnter(_ principal: Principal, address: String?) -> HubSeats.Verdict {
        let verdict = seats.judge(principal.id, address)
        if verdict != .welcome { statistics.refused += 1 }
        return verdict
    }

    /// For a subscriber of another ring: `giveUpSeat` when it has gone.
    func takeSeat(_ principal: Principal, address: String?) {
        seats.enter(principal.id, address)
    }

    func giveUpSeat(_ identity: String, _ address: String?) { seats.leave(identity, address) }

    func opened(_ peer: WebSocketConversation) {
        let beginning = peer.takeBeginning()
        if let types = beginning?.types, !types.isEmpty {
            _ = peer.subscriptions.add(wishes.share(types))
        }
        guard let slot = enter(peer) else { return }
        // The upgrade's own answer leaves first.
        fanout.block(slot, second: second)
        if peer.membership.flowUser != nil {
            // Watchers of a flow get flow events only. The upgrade's answer has left by itself.
            peer.send(text: Self.watching)
        } else if let lastSeen = beginning?.lastSeen {
            resume(peer, lastSeen)
        } else {
            peer.send(
                text: beginning?.status
                    ?? initialStatus(peer.membership.access, isResync: false))
        }
    }

    /// A seat and a row for the peer, which gets what comes from now on; nil is its end.
    func enter(_ peer: WebSocketConversation) -> Int? {
        if office == nil { seats.enter(peer.principal.id, peer.membership.address) }
        guard let connection = peer.connection, let slot = claim(connection, peer) else {
            return nil
        }
        peer.slot = Int32(slot)
        if slot == peers.count { peers.append(peer) } else { peers[slot] = peer }
        // A stalled reader falls behind in the log, not in the kernel's memory.
        Sockets.setSendBuffer(connection.descriptor, bytes: settings.sendBufferBytes)
        return slot
    }

    /// A row for the peer, or its end.
    private func claim(_ connection: Connection, _ peer: WebSocketConversation) -> Int? {
        let flags: SubscriberRows.Flags = peer.deflateBits == 15 ? .compressed : []
        guard let id = fanout.join(filterClass(peer.subscriptions, peer)) else {
            statistics.refused += 1
            peer.close(.tryAgainLater, "too many different subscriptions")
            return nil
        }
        let slot = fanout.rows.claim(
            descriptor: connection.descriptor, classID: id, cursor: fanout.events.next,
            second: second, flags: flags)
        if slot == nil {
            fanout.leave(id)
            statistics.refused += 1
            peer.close(.tryAgainLater, "as many connections as allowed")
        }
        return slot
    }

    func closed(_ peer: WebSocketConversation) {
        if let office {
            office.left(peer.principal, peer.membership.address)
        } else {
            seats.leave(peer.principal.id, peer.membership.address)
        }
        guard peer.slot >= 0 else { return }
        let slot = Int(peer.slot)
        fanout.leave(fanout.rows[slot].classID)
        fanout.rows.release(slot)
        peers[slot] = nil
        peer.slot = -1
    }

    /// Who is here, on this ring: each credential once.
    var principals: Set<Principal> {
        var found = streams.principals
        for case let peer? in peers { found.insert(peer.principal) }
        return found
    }

    /// What somebody may see has changed: from now on events are judged by that. Nil when they may
    /// not be here any more; they are told the farewell first.
    func accessChanged(
        _ principal: Principal, to access: EventAccess?, saying farewell: String? = nil
    ) {
        for slot in peers.indices {
            guard let peer = peers[slot], peer.principal == principal else { continue }
            guard let access else {
                dismiss(peer, saying: farewell)
                continue
            }
            peer.membership.access = access
            guard let id = fanout.join(filterClass(peer.subscriptions, peer)) else {
                // No class is free for the new filter, and the old one shows too much.
                peer.close(.tryAgainLater, "too many different subscriptions")
                continue
            }
            fanout.adopt(id, slot)
        }
        streams.accessChanged(principal, to: access)
        relayAccess(principal, access, farewell)
    }

    private func dismiss(_ peer: WebSocketConversation, saying farewell: String?) {
        guard let farewell else {
            return peer.close(.policyViolation, "the permission has ended")
        }
        let message: JSONValue = ["type": "blocked", "message": .string(farewell)]
        peer.send(text: message.bytes)
        peer.close(.policyViolation, "blocked")
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

    // MARK: Where a subscriber goes on

    private func filterClass(
        _ subscriptions: HubSubscriptions, _ peer: WebSocketConversation
    ) -> FilterClass {
        subscriptions.filterClass(peer.membership.access, flowUser: peer.membership.flowUser)
    }

    /// Moves the peer to the class of its subscriptions; false when there is no room for another.
    func adopt(_ subscriptions: HubSubscriptions, _ peer: WebSocketConversation) -> Bool {
        guard let id = fanout.join(filterClass(subscriptions, peer)) else {
            return false
        }
        fanout.adopt(id, Int(peer.slot))
        peer.subscriptions = subscriptions
        return true
    }

    /// The peer names the last event it saw: it gets what it missed, or a snapshot.
    func resume(_ peer: WebSocketConversation, _ since: UInt64) {
        guard fanout.rewind(Int(peer.slot), after: since) else { return resync(peer) }
        statistics.resumed += 1
        let reply: JSONValue = ["type": "resumed", "since": .int(Int64(since))]
        peer.send(text: reply.bytes)
    }

    func resync(_ peer: WebSocketConversation) {
        let slot = Int(peer.slot)
        statistics.resyncs += 1
        guard let office else {
            fanout.skip(slot)
            return peer.send(text: initialStatus(peer.membership.access, isResync: true))
        }
        // Nothing reaches the peer until the snapshot is here, nor is it asked for twice.
        guard !fanout.rows[slot].flags.contains(.held) else { return }
        fanout.hold(slot)
        office.wantsStatus(id(of: slot), peer.membership.access)
    }

    /// A snapshot as of the newest event of this ring, for a peer that was held.
    func statusArrived(_ id: HubPeerID, _ access: EventAccess, _ status: [UInt8]) {
        guard let peer = peer(id) else { return }
        // What it may see has changed meanwhile.
        guard access == peer.membership.access else {
            office?.wantsStatus(id, peer.membership.access)
            return
        }
        fanout.release(Int(id.slot))
        fanout.skip(Int(id.slot))
        peer.send(text: status)
    }

    func tell(_ id: HubPeerID, _ text: [UInt8]) { peer(id)?.send(text: text) }

    func id(of slot: Int) -> HubPeerID {
        HubPeerID(slot: UInt32(slot), generation: fanout.rows[slot].generation)
    }

    /// Nil when it has gone meanwhile.
    private func peer(_ id: HubPeerID) -> WebSocketConversation? {
        let slot = Int(id.slot)
        guard slot < peers.count, fanout.rows[slot].generation == id.generation else { return nil }
        return peers[slot]
    }

    /// The snapshot that a subscriber begins with, or goes on from.
    func initialStatus(_ access: EventAccess, isResync: Bool) -> [UInt8] {
        var status: JSONValue = [
            "type": "initial_status", "timestamp": .string(clock.now.eventText),
            "seq": .int(Int64(lastSequence)),
        ]
        if isResync { status["resync"] = true }
        status["mcps"] = snapshot(access)
        return status.bytes
    }

    private static let watching = Array(#"{"type":"watching"}"#.utf8)

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
        if office == nil, (second - Self.firstSecond) % interval == 0, count > 0 { publish(.ping) }
        let stale = max(1, UInt32(clamping: settings.staleTime.components.seconds))
        let stall = max(1, UInt32(clamping: settings.stallTime.components.seconds))
        for slot in peers.indices {
            let row = fanout.rows[slot]
            guard let peer = peers[slot], !peer.isClosing else { continue }
            if row.stalledTime(at: second) >= stall {
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
        let host = peer.connection?.peerAddress?.host
        if let office { office.lagged(host, missed: missed) } else { noteLag(host, missed) }
        guard settings.resyncsLagging else {
            statistics.resyncs += 1
            return peer.close(.tryAgainLater, "fell behind the event log")
        }
        resync(peer)
    }

    func noteLag(_ host: String?, _ missed: UInt64) {
        log.notice(
            "subscriber fell behind the event log", id: .subscriberLagged,
            fields: ["peer": host, "missed": missed])
    }

    func cut(_ slot: Int, rest: UnsafeRawBufferPointer) {
        unsafe peers[slot]?.send(rest: rest.bytes)
    }

    func landed(_ slot: Int) { peers[slot]?.connection?.flush() }

    func failed(_ slot: Int) { peers[slot]?.connection?.abort() }
}
