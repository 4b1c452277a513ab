import OmniCore
import OmniIO

/// What lives on the ring of a shard: a door nobody knocks at, and the hub of those behind it.
final class ShardRoom {
    let door: Door
    private let hub: WebSocketHub
    private let plan: Shard.Plan
    private let io: any IO
    private let shared: WebSocketShared
    private let office = ShardOffice()
    private let orders: Mailbox<ShardOrder>
    private let reports: Mailbox<ShardReport>
    /// Everybody has gone: the loop may end.
    private(set) var hasEnded = false

    init(
        _ plan: Shard.Plan, io: any IO, orders: Mailbox<ShardOrder>, reports: Mailbox<ShardReport>
    ) throws(SystemError) {
        self.plan = plan
        self.io = io
        self.orders = orders
        self.reports = reports
        shared = WebSocketShared(limits: plan.webSocket)
        // What is worth a record is told to the main ring: there is one journal.
        let log = Log(Journal.silent(), service: .webSocket)
        hub = try WebSocketHub(
            io: io, clock: WallClock(io), settings: plan.hub, log: log, office: office)
        door = Door(
            io: io, limits: Door.Limits(connectionsMax: plan.hub.fanout.subscribersMax), log: log)
        door.turnBegin = { [unowned self] in readMail() }
        door.turnEnd = { [unowned self] in turnEnds() }
        door.otherTimer = { [unowned hub] token in
            if token.kind == HotKind.hub.rawValue { hub.fired(token) }
        }
        door.otherCompletions = { [fanout = hub.fanout] completions in
            if completions[0].token.kind == HotKind.flight.rawValue { fanout.flown(completions) }
        }
        hub.start()
    }

    /// Before anything that clients say in this turn: an event that was published before a client
    /// spoke must not come behind the answer.
    private func readMail() {
        let orders = orders.take()
        if orders.isEmpty { return }
        for order in orders { follow(order) }
        hub.fanout.drain()
    }

    private func turnEnds() {
        hub.turnEnds()
        guard !office.letters.isEmpty else { return }
        if reports.put(&office.letters) { io.ring(plan.home) }
    }

    private func follow(_ order: ShardOrder) {
        switch order {
        case .begin(let sequence, let isFirst):
            hub.fanout.events.restart(at: sequence, isFirst: isFirst)
        case .event(let event): publish(event)
        case .adopt(let handover): adopt(handover)
        case .status(let peer, let access, let text): hub.statusArrived(peer, access, text)
        case .published(let peer, let reply):
            office.publishing -= 1
            hub.tell(peer, reply)
        case .accessChanged(let principal, let access, let farewell):
            hub.accessChanged(principal, to: access, saying: farewell)
        case .report(let number):
            office.letters.append(
                .report(number, hub.report(shard: plan.number, of: plan.count)))
        case .restore(let peer, let newcomer): restore(peer, newcomer)
        case .park:
            io.spawn {
                await self.park()
                self.hasEnded = true
            }
        case .stop(let deadline):
            io.spawn {
                await self.door.drain(until: deadline)
                self.hasEnded = true
            }
        }
    }

    private func publish(_ event: RelayedEvent) {
        // Events were left out because this ring was too far behind: its log begins anew, and
        // whoever wanted them is brought back by a snapshot.
        if event.sequence != hub.fanout.events.next {
            hub.fanout.events.restart(at: event.sequence)
        }
        event.payload.withRawSpan { _ = hub.publish($0, facts: event.facts) }
    }

    private func adopt(_ handover: ShardOrder.Handover) {
        let conversation = WebSocketConversation(handover.newcomer, to: hub, shared: shared)
        let isIn = door.adopt(
            handover.descriptor, handover.listener, conversation, saying: handover.answer,
            early: handover.early)
        if !isIn { office.left(handover.newcomer.principal, handover.newcomer.address) }
    }

    private func restore(_ peer: ParkedPeer, _ newcomer: WebSocketNewcomer) {
        let conversation = WebSocketConversation(newcomer, to: hub, shared: shared)
        guard !door.restore(peer, conversation) else { return }
        office.left(newcomer.principal, newcomer.address)
    }

    /// How long the replies to what subscribers published may still take.
    private static let lastRepliesTime = Duration.milliseconds(300)

    private func park() async {
        await door.park(until: io.now)
        let deadline = io.now + Self.lastRepliesTime
        while office.publishing > 0, io.now < deadline {
            await io.sleep(until: io.now + .milliseconds(2))
        }
        hub.fanout.isHeld = true
        await door.freeze()
        office.letters.append(.parked(door.parked(HandoverLedger())))
        if reports.put(&office.letters) { io.ring(plan.home) }
    }
}

/// The way from a shard's hub to the main ring: gathered during a turn, sent at its end.
final class ShardOffice: HubOffice {
    fileprivate(set) var letters: [ShardReport] = []
    /// Events under way to the main ring.
    fileprivate(set) var publishing = 0
    /// Beyond it publishers are told to try again.
    private static let publishingMax = 1024

    func wantsStatus(_ peer: HubPeerID, _ access: EventAccess) {
        letters.append(.wantsStatus(peer, access))
    }

    func wantsPublished(_ request: PublishRequest, _ peer: HubPeerID) -> Bool {
        guard publishing < Self.publishingMax else { return false }
        publishing += 1
        letters.append(.wantsPublished(peer, request))
        return true
    }

    func left(_ principal: Principal, _ address: String?) {
        letters.append(.left(principal, address))
    }

    func lagged(_ host: String?, missed: UInt64) { letters.append(.lagged(host, missed: missed)) }
}
