import OmniCore
import OmniIO

/// Takes over what a predecessor left: reads and verifies it, finds each connection's socket among
/// the passed descriptors, and goes on where it stopped.
///
/// Nothing is trusted that cannot be checked. Where the state is missing, damaged or of another
/// version every connection is told to come again (1012); where a single socket, credential or
/// listener is missing only that one ends.
final class Takeover {
    struct Rooms {
        let door: Door
        let hub: WebSocketHub
        let shards: Shards
        let sessions: GatewaySessions
        let webSockets: WebSocketShared
        /// By `parkingName`.
        let applications: [any WebSocketApplication]
    }

    private struct Passed {
        let descriptor: Int32
        let batch: HandoverNames.Batch
    }

    private struct Counts {
        var connections = 0
        var sessions = 0
        var missing = 0
        var refused = 0
        var ended = 0
    }

    private static let stateBytesMax = 1 << 30

    private let manager: ServiceManager
    private let activated: ActivatedSockets
    private let ledger: HandoverLedger
    private let log: Log
    private var passed: [UInt64: Passed] = [:]
    private var known: [ParkedIdentity: Principal] = [:]
    private var counts = Counts()
    /// Connections between two requests: they wait until requests can be served.
    private var waiting: [(peer: ParkedPeer, listener: Listener)] = []

    init(
        manager: ServiceManager, activated: ActivatedSockets, ledger: HandoverLedger, log: Log
    ) {
        self.manager = manager
        self.activated = activated
        self.ledger = ledger
        self.log = log
    }

    /// Whether we come after a daemon that ended in order, with peers who expect to notice nothing.
    var hasPredecessor: Bool { !activated[HandoverNames.state].isEmpty }

    /// Once, when identities can be asked and before anybody else is let in: all but `serve`.
    func run(_ rooms: Rooms) async {
        collect()
        let state = activated[HandoverNames.state]
        guard !state.isEmpty || !passed.isEmpty else { return }
        if let image = read(state) {
            await restore(image, rooms)
        }
        for one in passed.values { dismiss(one, rooms.door) }
        forget()
        report()
    }

    private func collect() {
        for one in activated.all {
            guard let batch = HandoverNames.Batch(one.name) else { continue }
            let parcel = Descriptor(one.descriptor)
            do throws(SystemError) {
                for descriptor in try DescriptorParcel.unpack(parcel.raw) {
                    collect(descriptor, batch)
                }
            } catch {
                log.warning(
                    "a batch of connections cannot be opened", id: .handOverDiscarded,
                    fields: ["name": one.name, "reason": error])
            }
        }
    }

    private func collect(_ descriptor: Int32, _ batch: HandoverNames.Batch) {
        if let cookie = Sockets.cookie(of: descriptor), passed[cookie] == nil {
            passed[cookie] = Passed(descriptor: descriptor, batch: batch)
        } else {
            _ = Descriptor(descriptor)
        }
    }

    // MARK: The state

    private func read(_ state: [ActivatedSockets.Passed]) -> HandoverImage? {
        defer { for one in state { _ = Descriptor(one.descriptor) } }
        guard let only = state.first, state.count == 1 else {
            discard(state.isEmpty ? "its state is missing" : "\(state.count) states were passed")
            return nil
        }
        do throws(SystemError) {
            let bytes = try StateFile.read(only.descriptor, bytesMax: Self.stateBytesMax)
            // Whatever becomes of us: nobody begins with it a second time.
            try StateFile.overwrite(only.descriptor, HandoverImage.usedMagic)
            return image(bytes)
        } catch {
            discard("\(error)")
            return nil
        }
    }

    private func image(_ bytes: [UInt8]) -> HandoverImage? {
        do throws(HandoverError) {
            return try HandoverImage(decoding: bytes)
        } catch {
            discard(error.description)
            return nil
        }
    }

    private func discard(_ reason: String) {
        log.warning(
            "hand-over cannot be used, clients are told to connect again", id: .handOverDiscarded,
            fields: ["reason": reason, "connections": passed.count])
    }

    // MARK: Going on

    private func restore(_ image: HandoverImage, _ rooms: Rooms) async {
        // Numbers of another log would mean other events: their owners get a snapshot.
        let isSameLog = image.log.epoch == rooms.hub.fanout.events.epoch
        for session in image.sessions { await restore(session, rooms.sessions) }
        for parked in image.connections {
            guard let one = passed.removeValue(forKey: parked.cookie) else {
                counts.missing += 1
                continue
            }
            await restore(parked, one, isSameLog, rooms)
        }
    }

    private func restore(_ parked: ParkedSession, _ sessions: GatewaySessions) async {
        guard let principal = await principal(parked.identity) else {
            counts.refused += 1
            return
        }
        if sessions.restore(parked, for: principal) { counts.sessions += 1 }
    }

    private func restore(
        _ parked: ParkedConnection, _ one: Passed, _ isSameLog: Bool, _ rooms: Rooms
    ) async {
        guard let index = rooms.door.listenerIndex(of: parked),
            let listener = rooms.door.listener(index)
        else { return dismiss(one, rooms.door) }
        var peer = ParkedPeer(
            descriptor: one.descriptor, listener: index, principal: nil, connection: parked)
        switch parked.talk {
        case .requests:
            counts.connections += 1
            waiting.append((peer, listener))
        case .webSocket(var socket):
            if !isSameLog { socket.cursor = 0 }
            peer.connection.talk = .webSocket(socket)
            await goOn(peer, socket, listener, rooms)
        case .stream(let stream): await goOn(peer, stream, isSameLog, listener, rooms)
        }
    }

    /// Reads the next request on each connection that was between two.
    func serve(_ door: Door) {
        for (peer, listener) in waiting { goOn(peer, listener, door) }
        waiting = []
    }

    private func goOn(_ peer: ParkedPeer, _ listener: Listener, _ door: Door) {
        let conversation = door.welcome(listener)
        guard let connection = door.restore(peer.descriptor, peer.listener, conversation) else {
            return
        }
        connection.send(peer.connection.unsent)
        (conversation as? HTTPConversation)?.restored(on: connection)
        door.goOn(connection, peer.connection.unread)
    }

    private func goOn(
        _ peer: ParkedPeer, _ socket: ParkedWebSocket, _ listener: Listener, _ rooms: Rooms
    ) async {
        // `hub`, or `hub:7` for those who watch the flows of user 7.
        let parts = socket.application.split(separator: ":", maxSplits: 1)
        guard let application = rooms.application(String(parts.first ?? "")) else {
            counts.ended += 1
            return Farewell.say(to: peer, at: rooms.door)
        }
        let principal = await principal(
            socket.identity, on: peer.descriptor, audience: listener.audience)
        guard let principal else {
            counts.refused += 1
            return Farewell.say(
                to: peer, at: rooms.door, .policyViolation,
                "the credential does not hold any more")
        }
        var newcomer = WebSocketNewcomer(
            principal: principal, address: socket.address, deflateBits: socket.deflateBits)
        newcomer.flowUser = parts.count > 1 ? Int64(parts[1]) : nil
        if application === rooms.hub, rooms.shards.take(peer, newcomer) {
            counts.connections += 1
            return
        }
        let conversation = WebSocketConversation(
            newcomer, to: application, shared: rooms.webSockets)
        if rooms.door.restore(peer, conversation) {
            counts.connections += 1
        }
    }

    private func goOn(
        _ peer: ParkedPeer, _ stream: ParkedStream, _ isSameLog: Bool, _ listener: Listener,
        _ rooms: Rooms
    ) async {
        guard let conversation = rooms.door.welcome(listener) as? HTTPConversation,
            let connection = rooms.door.restore(peer.descriptor, peer.listener, conversation)
        else { return }
        connection.send(peer.connection.unsent)
        guard let exchange = conversation.restored(stream, on: connection) else {
            counts.ended += 1
            return connection.finish()
        }
        let principal = await principal(
            stream.identity, on: peer.descriptor, audience: listener.audience)
        if goesOn(stream.kind, exchange, principal, isSameLog, rooms) {
            counts.connections += 1
        } else {
            counts.refused += 1
            exchange.endStream()
        }
        rooms.door.goOn(connection, peer.connection.unread)
    }

    private func goesOn(
        _ kind: ParkedStream.Kind, _ exchange: HTTPExchange, _ principal: Principal?,
        _ isSameLog: Bool, _ rooms: Rooms
    ) -> Bool {
        guard let principal else { return false }
        switch kind {
        case .events(let types, let cursor):
            return rooms.hub.streams.restore(
                exchange, types: types, cursor: isSameLog ? cursor : 0, for: principal)
        case .session(let id):
            guard let session = rooms.sessions[id], session.principal == principal else {
                return false
            }
            session.goOn(with: exchange)
            return true
        }
    }

    private func principal(
        _ identity: ParkedIdentity, on descriptor: Int32? = nil,
        audience: Listener.Audience? = nil
    ) async -> Principal? {
        if let principal = known[identity] { return principal }
        let principal = ledger.principal(identity, on: descriptor, audience: audience)
        // What a socket proves holds for that socket alone.
        if descriptor == nil || !identity.proof.isEmpty { known[identity] = principal }
        return principal
    }

    // MARK: Not going on

    private func dismiss(_ one: Passed, _ door: Door) {
        counts.ended += 1
        guard let connection = door.restore(one.descriptor, 0, Farewell()) else { return }
        Farewell.say(to: connection, one.batch)
    }

    /// Systemd closes its copies: a connection that ends with us must end for its peer as well.
    private func forget() {
        for name in HandoverNames.ours(in: activated) where name != KeptEventLog.name {
            do throws(SystemError) {
                try manager.removeStored(name: name)
            } catch {
                log.warning(
                    "systemd could not be told to drop a descriptor, ignoring",
                    fields: ["name": name, "error": error])
            }
        }
    }

    private func report() {
        if counts.missing > 0 || counts.ended > 0 {
            log.warning(
                "some connections could not be taken over", id: .handOverDiscarded,
                fields: [
                    "reason": "no descriptor, no listener or no state", "missing": counts.missing,
                    "ended": counts.ended,
                ])
        }
        log.info(
            "taken over from the predecessor", id: .handOverRestored,
            fields: [
                "connections": counts.connections, "sessions": counts.sessions,
                "refused": counts.refused,
            ])
    }
}

extension Takeover.Rooms {
    fileprivate func application(_ name: String) -> (any WebSocketApplication)? {
        applications.first { $0.parkingName == name }
    }
}

extension Door {
    /// The one it came by, or another one for the same kind of people: never one for others.
    fileprivate func listenerIndex(of parked: ParkedConnection) -> Int? {
        let same = listeners.indices.filter { listeners[$0].audience.number == parked.audience }
        return same.first { listeners[$0].address.description == parked.listener } ?? same.first
    }
}
