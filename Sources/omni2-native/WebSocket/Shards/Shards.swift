import OmniCore
import OmniIO

/// The rings beyond the main one, as the main ring sees them: who sits where, and the mail.
///
/// `[WebSocket] Shards=1` has none, and everything stays on one thread. Otherwise a newcomer is let
/// in here, as everybody, and goes where there are fewest; a published event is written into the
/// main ring's log, then passed on once per shard with its number. What is decided once for all
/// (numbers, seats, snapshots, the journal) stays here. No state is shared but the mailboxes.
final class Shards {
    private final class Link {
        enum Stage {
            /// Its thread is starting.
            case starting
            case open(RingAddress)
            /// It could not start, or has stopped.
            case ended
        }

        let shard: Shard
        var stage = Stage.starting
        var orders: [ShardOrder] = []
        /// Subscribers there, and those on their way.
        var seats = 0
        /// Who has them, by credential.
        var guests: [Principal: Int] = [:]
        /// It has not read its mail for too long: events are left out.
        var isBehind = false

        init(_ shard: Shard) { self.shard = shard }

        var isOpen: Bool {
            if case .open = stage { true } else { false }
        }

        var isStarting: Bool {
            if case .starting = stage { true } else { false }
        }
    }

    private struct Gathering {
        var report: HubReport
        var missing: Int
        let ticket: WaitTicket
    }

    private let io: any IO
    private let hub: WebSocketHub
    private let log: Log
    private let links: [Link]
    private var gatherings: [UInt64: Gathering] = [:]
    private var gatheringsMade: UInt64 = 0
    private var stopped: WaitTicket?
    private var parked: [ParkedPeer] = []
    /// Letters that a shard may leave unread before events are left out.
    private static let unreadMax = 4096
    /// How long a shard may take to say how it is.
    private static let reportTime = Duration.seconds(1)

    /// `plan` makes the plan of a shard by its number; `count` includes the main ring.
    init(
        _ hub: WebSocketHub, io: any IO, count: Int, log: Log, plan: (Int) -> Shard.Plan
    ) throws(SystemError) {
        self.io = io
        self.hub = hub
        self.log = log
        var links: [Link] = []
        for number in 1..<max(1, count) { links.append(Link(try Shard(plan(number)))) }
        self.links = links
        guard !links.isEmpty else { return }
        hub.relay = { [unowned self] in relay($0, $1) }
        hub.relayAccess = { [unowned self] principal, access, farewell in
            for link in self.links where link.isOpen && link.guests[principal] != nil {
                link.orders.append(.accessChanged(principal, access, farewell: farewell))
            }
        }
    }

    /// Rings with subscribers, the main one included.
    var count: Int { 1 + links.count(where: \.isOpen) }

    /// Subscribers that are not on the main ring.
    var seats: Int { links.reduce(0) { $0 + $1.seats } }

    func start() {
        for link in links {
            let shard = link.shard
            do throws(SystemError) {
                try EventLoop.startThread { shard.run() }
            } catch {
                failed(link, error)
            }
        }
    }

    /// Closes every subscriber's connection on the other rings and ends them.
    func stop(until deadline: MonotonicTime) async {
        for link in links where link.isOpen { link.orders.append(.stop(until: deadline)) }
        guard links.contains(where: \.isOpen) else { return }
        let ticket = io.makeTicket()
        stopped = ticket
        if await !io.wait(for: ticket, until: deadline + .seconds(1)) {
            log.warning("shards did not stop in time, going on without them")
        }
    }

    // MARK: Across a restart

    /// Returns when every ring is there, or known not to come.
    func areOpen(until deadline: MonotonicTime) async {
        while io.now < deadline, links.contains(where: \.isStarting) {
            await io.sleep(until: io.now + .milliseconds(1))
        }
    }

    /// True when another ring goes on with the connection.
    func take(_ peer: ParkedPeer, _ newcomer: WebSocketNewcomer) -> Bool {
        guard let link = emptiest() else { return false }
        takeSeat(link, newcomer)
        link.orders.append(.restore(peer, newcomer))
        return true
    }

    /// Ends the other rings and takes their connections, as they stand.
    func park(until deadline: MonotonicTime) async -> [ParkedPeer] {
        for link in links where link.isOpen { link.orders.append(.park) }
        if links.contains(where: \.isOpen) {
            let ticket = io.makeTicket()
            stopped = ticket
            if await !io.wait(for: ticket, until: deadline) {
                log.warning("shards did not hand over in time, going on without them")
            }
        }
        defer { parked = [] }
        return parked
    }

    // MARK: Coming in

    /// Lets a newcomer in whose handshake is fine: here, or where there are fewer.
    func admit(
        _ newcomer: WebSocketNewcomer, _ exchange: HTTPExchange, _ handshake: WebSocketHandshake,
        _ shared: WebSocketShared
    ) {
        guard let link = emptiest() else {
            let conversation = WebSocketConversation(newcomer, to: hub, shared: shared)
            return exchange.upgrade(handshake.respond, to: conversation)
        }
        takeSeat(link, newcomer)
        let listener = exchange.listenerIndex
        exchange.depart(handshake.respond) { [unowned self] answer, socket in
            guard let (descriptor, early) = socket else { return left(link, newcomer) }
            guard link.isOpen else {
                io.close(descriptor)
                return left(link, newcomer)
            }
            var newcomer = newcomer
            if newcomer.lastSeen == nil {
                newcomer.status = hub.initialStatus(
                    newcomer.principal.eventAccess, isResync: false)
            }
            link.orders.append(
                .adopt(
                    .init(
                        descriptor: descriptor, listener: listener, newcomer: newcomer,
                        answer: answer, early: early)))
        }
    }

    /// Nil for the main ring.
    private func emptiest() -> Link? {
        let open = links.filter(\.isOpen)
        guard let best = open.min(by: { $0.seats < $1.seats }) else { return nil }
        let here = hub.count - seats
        return best.seats < here ? best : nil
    }

    private func takeSeat(_ link: Link, _ newcomer: WebSocketNewcomer) {
        link.seats += 1
        link.guests[newcomer.principal, default: 0] += 1
        hub.takeSeat(newcomer.principal, address: newcomer.address)
    }

    private func left(_ link: Link, _ newcomer: WebSocketNewcomer) {
        left(link, newcomer.principal, newcomer.address)
    }

    private func left(_ link: Link, _ principal: Principal, _ address: String?) {
        link.seats -= 1
        let rest = link.guests[principal, default: 1] - 1
        link.guests[principal] = rest > 0 ? rest : nil
        hub.giveUpSeat(principal.id, address)
    }

    /// Who is on the other rings, or on the way there: each credential once.
    var principals: Set<Principal> {
        links.reduce(into: []) { $0.formUnion($1.guests.keys) }
    }

    // MARK: Events

    private func relay(_ payload: RawSpan, _ facts: EventFacts) {
        guard links.contains(where: \.isOpen) else { return }
        let event = RelayedEvent(
            sequence: hub.lastSequence,
            payload: payload.array(ByteRange(offset: 0, count: payload.byteCount)), facts: facts)
        for link in links where link.isOpen && !link.isBehind {
            link.orders.append(.event(event))
        }
    }

    /// A shard's log begins with what this ring's still has, so that resumption works there too.
    private func fill(_ link: Link) {
        let events = hub.fanout.events
        link.orders.append(.begin(at: events.oldest, isFirst: events.isWhole))
        for sequence in events.oldest..<events.next {
            guard let facts = events.facts(of: sequence) else { continue }
            let payload = unsafe Array(events.payload(sequence))
            link.orders.append(
                .event(RelayedEvent(sequence: sequence, payload: payload, facts: facts)))
        }
    }

    // MARK: Mail

    /// The turn begins.
    func readMail() {
        for link in links {
            for report in link.shard.reports.take() { hear(report, from: link) }
        }
    }

    /// End of the turn: what was gathered goes to the shards.
    func sendMail() {
        for link in links {
            guard case .open(let address) = link.stage, !link.orders.isEmpty else { continue }
            if link.shard.orders.put(&link.orders) {
                link.isBehind = false
                io.ring(address)
            } else {
                link.isBehind = link.shard.orders.count > Self.unreadMax
            }
        }
    }

    private func hear(_ report: ShardReport, from link: Link) {
        switch report {
        case .opened(let address):
            link.stage = .open(address)
            fill(link)
        case .failed(let error): failed(link, error)
        case .wantsStatus(let peer, let access):
            link.orders.append(.status(peer, access, hub.initialStatus(access, isResync: true)))
        case .wantsPublished(let peer, let request):
            // Publishing comes first: the event precedes the reply in the mail as well.
            let reply = hub.reply(to: request)
            link.orders.append(.published(peer, reply: reply))
        case .left(let principal, let address): left(link, principal, address)
        case .lagged(let host, let missed): hub.noteLag(host, missed)
        case .report(let number, let report): gather(number, report)
        case .parked(let peers): parked += peers
        case .ended:
            link.stage = .ended
            if !links.contains(where: \.isOpen), let stopped { io.wake(stopped) }
        }
    }

    private func failed(_ link: Link, _ error: SystemError) {
        link.stage = .ended
        log.warning(
            "a ring for subscribers could not start, going on with fewer",
            fields: ["error": error, "rings": count])
    }

    // MARK: Reports

    /// Of all rings that answer in time.
    func report() async -> HubReport {
        let open = links.filter(\.isOpen)
        let own = hub.report(shard: 0, of: links.count + 1)
        guard !open.isEmpty else { return own }
        gatheringsMade += 1
        let number = gatheringsMade
        let ticket = io.makeTicket()
        gatherings[number] = Gathering(report: own, missing: open.count, ticket: ticket)
        for link in open { link.orders.append(.report(number)) }
        _ = await io.wait(for: ticket, until: io.now + Self.reportTime)
        return gatherings.removeValue(forKey: number)?.report ?? own
    }

    private func gather(_ number: UInt64, _ report: HubReport) {
        guard var gathering = gatherings[number] else { return }
        gathering.report.add(report)
        gathering.missing -= 1
        gatherings[number] = gathering
        if gathering.missing == 0 { io.wake(gathering.ticket) }
    }
}
