import OmniCore
import OmniIO

/// Leaves connections and sessions to our successor: descriptors go into systemd's store in named
/// batches, and what is known of each into a memfd beside them.
///
/// The memfd goes last: where it is, everything is. When this ends well the process ends at once
/// and closes nothing; systemd holds every socket open meanwhile, and the kernel keeps what arrives.
final class Handover {
    private let io: any IO
    private let manager: ServiceManager
    private let door: Door
    private let hub: WebSocketHub
    private let shards: Shards
    private let sessions: GatewaySessions
    private let ledger: HandoverLedger
    private let log: Log
    /// For systemd to take one message out of its queue, and to have taken them all.
    private static let shardsTime = Duration.seconds(2)
    private static let roomTime = Duration.seconds(2)
    private static let barrierTime = Duration.seconds(3)

    init(
        io: any IO, manager: ServiceManager, door: Door, hub: WebSocketHub,
        shards: Shards, sessions: GatewaySessions, ledger: HandoverLedger, log: Log
    ) {
        self.io = io
        self.manager = manager
        self.door = door
        self.hub = hub
        self.shards = shards
        self.sessions = sessions
        self.ledger = ledger
        self.log = log
    }

    /// False when systemd could not be given everything: then nothing is handed over, and the
    /// connections have to end as they would without a successor.
    func leave() async -> Bool {
        // Others first: their subscribers get from this ring what they still need.
        let elsewhere = await shards.park(until: io.now + Self.shardsTime)
        hub.fanout.isHeld = true
        await door.freeze()
        let peers = (door.parked(ledger) + elsewhere).compactMap(signed)
        let events = hub.fanout.events
        let image = HandoverImage(
            log: HandoverImage.LogMark(epoch: events.epoch, next: events.next),
            connections: peers.map(\.connection), sessions: sessions.parked(ledger))
        var names: [String] = []
        do throws(SystemError) {
            try manager.removeStored(name: HandoverNames.state)
            for batch in HandoverNames.Batch.allCases {
                let some = peers.filter { HandoverNames.Batch($0.connection) == batch }
                try await store(some.map(\.descriptor), batch, &names)
            }
            let state = try StateFile.make("omni2-handover", image.encoded())
            try await send { manager throws(SystemError) in
                try manager.store([state.raw], name: HandoverNames.state, isPolled: false)
            }
        } catch {
            log.warning(
                "systemd could not be given the connections, closing them",
                fields: ["error": error])
            takeBack(names, elsewhere)
            return false
        }
        await settle()
        log.info(
            "handed over to the successor",
            fields: [
                "connections": image.connections.count, "sessions": image.sessions.count,
                "last": Int(image.log.next - 1),
            ])
        return true
    }

    /// With what only the main ring knows: the listener's name, and what the credential was.
    private func signed(_ peer: ParkedPeer) -> ParkedPeer? {
        guard let listener = door.listener(peer.listener) else { return nil }
        var peer = peer
        peer.connection.listener = listener.address.description
        peer.connection.audience = listener.audience.number
        if case .webSocket(var socket) = peer.connection.talk, let principal = peer.principal {
            socket.identity = ledger.identity(of: principal)
            peer.connection.talk = .webSocket(socket)
        }
        return peer
    }

    // MARK: Telling systemd

    private func store(
        _ descriptors: [Int32], _ batch: HandoverNames.Batch, _ names: inout [String]
    ) async throws(SystemError) {
        var number = 0
        var rest = descriptors[...]
        while !rest.isEmpty {
            let some = Array(rest.prefix(DescriptorParcel.countMax))
            rest = rest.dropFirst(some.count)
            let name = batch.name(number)
            number += 1
            names.append(name)
            let parcel = try DescriptorParcel.pack(some).take()
            defer { io.close(parcel) }
            // Not polled: its other end is closed.
            try await send { manager throws(SystemError) in
                try manager.store([parcel], name: name, isPolled: false)
            }
        }
    }

    /// Systemd reads its queue between other things: a full one is tried again, for a while.
    private func send(
        _ message: (ServiceManager) throws(SystemError) -> Void
    ) async throws(SystemError) {
        let deadline = io.now + Self.roomTime
        while true {
            do throws(SystemError) {
                return try message(manager)
            } catch {
                guard error.isTemporary, io.now < deadline else { throw error }
            }
            await io.sleep(until: io.now + .milliseconds(5))
        }
    }

    /// Until systemd has taken what we sent: then it outlives us.
    private func settle() async {
        do throws(SystemError) {
            guard let barrier = try manager.barrier() else { return }
            defer { io.close(barrier) }
            _ = try await io.readiness(
                of: barrier, .hungUp, until: io.now + Self.barrierTime)
        } catch {
            // Its queue keeps the messages, and it reads them before it looks at our end.
            log.warning("systemd has not confirmed the hand-over", fields: ["error": error])
        }
    }

    private func takeBack(_ names: [String], _ elsewhere: [ParkedPeer]) {
        for name in names {
            do throws(SystemError) {
                try manager.removeStored(name: name)
            } catch {
                // They are closed by the successor, which finds no state beside them.
                log.warning("a stored batch stays", fields: ["name": name, "error": error])
            }
        }
        door.isFrozen = false
        hub.fanout.isHeld = false
        for peer in elsewhere { Farewell.say(to: peer, at: door) }
    }
}

extension GatewaySessions {
    func parked(_ ledger: HandoverLedger) -> [ParkedSession] {
        var parked: [ParkedSession] = []
        forEach { parked.append($0.parked(as: ledger.identity(of: $0.principal))) }
        return parked
    }
}
