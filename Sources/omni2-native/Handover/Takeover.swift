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
        let sessions: GatewaySessions
        let webSockets: WebSocketConversation.Shared
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

    init(
        manager: ServiceManager, activated: ActivatedSockets, ledger: HandoverLedger, log: Log
    ) {
        self.manager = manager
        self.activated = activated
        self.ledger = ledger
        self.log = log
    }

    /// Once, when identities can be asked and before anybody else is let in.
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
            if let cookie = Sockets.cookie(of: one.descriptor), passed[cookie] == nil {
                passed[cookie] = Passed(descriptor: one.descriptor, batch: batch)
            } else {
                _ = Descriptor(one.descriptor)
            }
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
        let session = GatewaySession(
            id: parked.id, principal: principal, machine: parked.machine, now: sessions.now)
        session.lastUsed = MonotonicTime(
            nanoseconds: sessions.now.nanoseconds
                - min(sessions.now.nanoseconds, UInt64(parked.idle) * 1_000_000_000))
        if sessions.restore(session) { counts.sessions += 1 }
    }

    private func restore(
        _ parked: ParkedConnection, _ one: Passed, _ isSameLog: Bool, _ rooms: Rooms
    ) async {
        guard let listener = rooms.door.listener(of: parked) else {
            return dismiss(one, rooms.door)
        }
        switch parked.talk {
        case .requests: goOn(parked, one, listener, rooms.door)
        case .webSocket(var socket):
            if !isSameLog { socket.cursor = 0 }
            await goOn(parked, socket, one, listener, rooms)
        case .stream(let stream):
            await goOn(parked, stream, isSameLog, one, listener, rooms)
        }
    }

    private func goOn(
        _ parked: ParkedConnection, _ one: Passed, _ listener: Listener, _ door: Door
    ) {
        let conversation = door.welcome(listener)
        guard let connection = door.restore(one.descriptor, listener, conversation) else { return }
        connection.send(parked.unsent)
        (conversation as? HTTPConversation)?.restored(on: connection)
        begin(connection, parked.unread)
    }

    private func goOn(
        _ parked: ParkedConnection, _ socket: ParkedWebSocket, _ one: Passed,
        _ listener: Listener, _ rooms: Rooms
    ) async {
        let application = rooms.applications.first { $0.parkingName == socket.application }
        guard let application else { return dismiss(one, rooms.door) }
        let principal = await principal(
            socket.identity, on: one.descriptor, audience: listener.audience)
        let conversation = WebSocketConversation(
            application, principal: principal ?? .anonymous, shared: rooms.webSockets,
            restoring: socket)
        guard let connection = rooms.door.restore(one.descriptor, listener, conversation) else {
            return
        }
        connection.send(parked.unsent)
        guard principal != nil else {
            counts.refused += 1
            conversation.restored(on: connection)
            conversation.close(.policyViolation, "the credential does not hold any more")
            return connection.armReceive()
        }
        conversation.restored(socket, on: connection)
        begin(connection, parked.unread)
    }

    private func goOn(
        _ parked: ParkedConnection, _ stream: ParkedStream, _ isSameLog: Bool, _ one: Passed,
        _ listener: Listener, _ rooms: Rooms
    ) async {
        guard let conversation = rooms.door.welcome(listener) as? HTTPConversation,
            let connection = rooms.door.restore(one.descriptor, listener, conversation)
        else { return }
        connection.send(parked.unsent)
        guard let exchange = conversation.restored(stream, on: connection) else {
            counts.ended += 1
            return connection.finish()
        }
        let principal = await principal(
            stream.identity, on: one.descriptor, audience: listener.audience)
        exchange.principal = principal
        var goesOn = false
        switch stream.kind {
        case .events(let types, let cursor):
            if let principal {
                goesOn = rooms.hub.streams.restore(
                    exchange, types: types, cursor: isSameLog ? cursor : 0,
                    access: principal.eventAccess)
            }
        case .session(let id):
            if let session = rooms.sessions[id], session.principal == principal {
                MCPEndpoint.attach(exchange, to: session)
                goesOn = true
            }
        }
        if !goesOn {
            counts.refused += 1
            exchange.endStream()
        }
        begin(connection, parked.unread)
    }

    private func begin(_ connection: Connection, _ unread: [UInt8]) {
        counts.connections += 1
        var unread = unread
        if !unread.isEmpty {
            unsafe unread.withUnsafeMutableBytes { bytes in
                unsafe connection.conversation.received(bytes, on: connection)
            }
        }
        connection.armReceive()
    }

    private func principal(
        _ identity: ParkedIdentity, on descriptor: Int32? = nil,
        audience: Listener.Audience? = nil
    ) async -> Principal? {
        if let principal = known[identity] { return principal }
        let principal = await ledger.principal(identity, on: descriptor, audience: audience)
        // What a socket proves holds for that socket alone.
        if descriptor == nil || !identity.proof.isEmpty { known[identity] = principal }
        return principal
    }

    // MARK: Not going on

    private func dismiss(_ one: Passed, _ door: Door) {
        counts.ended += 1
        guard let listener = door.listeners.first,
            let connection = door.restore(one.descriptor, listener, Farewell())
        else { return }
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

extension Door {
    /// The one it came by, or another one for the same kind of people: never one for others.
    fileprivate func listener(of parked: ParkedConnection) -> Listener? {
        let same = listeners.filter { $0.audience.number == parked.audience }
        return same.first { $0.address.description == parked.listener } ?? same.first
    }
}
