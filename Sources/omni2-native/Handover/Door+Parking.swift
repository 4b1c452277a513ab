import OmniCore
import OmniIO

/// The last moments of a daemon whose connections live on: first requests end, then nothing is read
/// any more, then nothing is sent, and each byte stream stands at a known place.
extension Door {
    private static let look = Duration.milliseconds(5)
    /// How long bytes that are on their way may take, and then the kernel to confirm that it has let go.
    private static let lastBytesTime = Duration.milliseconds(300)
    private static let letGoTime = Duration.milliseconds(500)

    /// Waits for the requests that are under way now. Others are served meanwhile: a slow one keeps
    /// nobody waiting.
    func finishRequests(until deadline: MonotonicTime) async {
        var requests: [HTTPExchange] = []
        forEachConnection { connection in
            if let request = connection.conversation.requestUnderWay { requests.append(request) }
        }
        while io.now < deadline, requests.contains(where: \.isOpen) {
            await io.sleep(until: io.now + Self.look)
        }
    }

    /// Reads nothing any more: what comes from now on waits in the kernel for our successor. What was
    /// begun has until `deadline`, then it is answered 503.
    func park(until deadline: MonotonicTime) async {
        isParking = true
        closeListeners()
        forEachConnection { connection in
            if connection.conversation.isParkable {
                connection.park()
            } else {
                connection.conversation.stopping(on: connection)
            }
        }
        while io.now < deadline, has({ $0.conversation.requestUnderWay != nil }) {
            await io.sleep(until: io.now + Self.look)
        }
        forEachConnection { $0.conversation.requestUnderWay?.giveUp() }
    }

    /// Sends nothing any more. Afterwards no operation of the kernel names a parked connection.
    func freeze() async {
        var deadline = io.now + Self.lastBytesTime
        while io.now < deadline, has({ !$0.isOpen || $0.pendingBytes > 0 || !$0.isQuiet }) {
            await io.sleep(until: io.now + Self.look)
        }
        isFrozen = true
        forEachConnection { $0.stopSending() }
        deadline = io.now + Self.letGoTime
        while io.now < deadline, has({ $0.isOpen && !$0.isQuiet }) {
            await io.sleep(until: io.now + Self.look)
        }
    }

    /// Everything that a successor can go on with; what it cannot is closed.
    func parked(_ ledger: HandoverLedger) -> [ParkedPeer] {
        var peers: [ParkedPeer] = []
        forEachConnection { connection in
            if let peer = parked(connection, ledger) {
                peers.append(peer)
            } else {
                connection.abort()
            }
        }
        return peers
    }

    private func parked(_ connection: Connection, _ ledger: HandoverLedger) -> ParkedPeer? {
        guard connection.isOpen, connection.isParked, connection.isQuiet,
            !connection.hasPeerEnded, let cookie = Sockets.cookie(of: connection.descriptor),
            let talk = connection.conversation.park(on: connection, ledger)
        else { return nil }
        let parked = ParkedConnection(
            cookie: cookie, unread: talk.unread + (unread[connection.handle.slot] ?? []),
            unsent: connection.unsent, talk: talk.talk)
        return ParkedPeer(
            descriptor: connection.descriptor, listener: Int(connection.listenerIndex),
            principal: talk.principal, connection: parked)
    }

    // MARK: Going on

    /// A WebSocket of a predecessor; false, and closed, when there is no room.
    func restore(_ peer: ParkedPeer, _ conversation: WebSocketConversation) -> Bool {
        guard case .webSocket(let socket) = peer.connection.talk,
            let connection = restore(peer.descriptor, peer.listener, conversation)
        else { return false }
        connection.send(peer.connection.unsent)
        conversation.restored(socket, on: connection)
        goOn(connection, peer.connection.unread)
        return true
    }

    /// What the predecessor had received and not read comes first.
    func goOn(_ connection: Connection, _ unread: [UInt8]) {
        var unread = unread
        if !unread.isEmpty {
            unsafe unread.withUnsafeMutableBytes { bytes in
                unsafe connection.conversation.received(bytes, on: connection)
            }
        }
        connection.armReceive()
    }

    private func has(_ condition: (Connection) -> Bool) -> Bool {
        var isFound = false
        forEachConnection { if !isFound { isFound = condition($0) } }
        return isFound
    }

    /// For our successor, who reads it first.
    func keep(_ bytes: UnsafeMutableRawBufferPointer, of connection: Connection) {
        unsafe unread[connection.handle.slot, default: []].append(contentsOf: bytes)
    }
}
