import OmniCore
import OmniIO

/// What a conversation leaves to its successor, and bytes it has received and not read.
struct ParkedTalk {
    let talk: ParkedConnection.Talk
    var principal: Principal?
    let unread: [UInt8]
}

/// A connection on its way from one daemon, or one ring, to the next.
struct ParkedPeer: Sendable {
    let descriptor: Int32
    /// In the list of the main ring's door.
    let listener: Int
    /// Whose it is, where that is known without asking.
    let principal: Principal?
    var connection: ParkedConnection
}

extension Listener.Audience {
    /// In a hand-over.
    var number: UInt8 {
        switch self {
        case .network: 0
        case .local: 1
        case .administrators: 2
        }
    }
}

// MARK: HTTP

extension HTTPConversation {
    var isParkable: Bool { true }

    var requestUnderWay: HTTPExchange? {
        guard let exchange, exchange.standing == nil, exchange.isOpen else { return nil }
        return exchange
    }

    /// Between two requests a connection has no state but the bytes of the next one. They are parsed
    /// from the start again: the parser keeps all of a request until it is complete.
    func park(on connection: Connection, _ ledger: HandoverLedger) -> ParkedTalk? {
        guard let exchange else { return ParkedTalk(talk: .requests, unread: input) }
        guard let kind = exchange.standing?(), let principal = exchange.principal else {
            return nil
        }
        let stream = ParkedStream(
            identity: ledger.identity(of: principal), kind: kind, requestID: exchange.requestID,
            request: exchange.request.bytes)
        return ParkedTalk(talk: .stream(stream), principal: principal, unread: input)
    }

    /// Between two requests, after a hand-over.
    func restored(on connection: Connection) {
        connection.setDeadline(connection.io.now + shared.limits.idleTime)
    }

    /// Goes on with a stream; nil when its request cannot be read any more.
    func restored(_ stream: ParkedStream, on connection: Connection) -> HTTPExchange? {
        guard let request = Self.request(stream.request, shared.limits.http) else { return nil }
        let exchange = HTTPExchange(request, requestID: stream.requestID, on: connection, self)
        exchange.goOn()
        goOn(with: exchange, on: connection)
        return exchange
    }

    private static func request(_ bytes: [UInt8], _ limits: HTTPLimits) -> HTTPRequest? {
        var parser = HTTPRequestParser()
        var head = HTTPRequestHead()
        while true {
            do throws(HTTPError) {
                let step = try bytes.withRawSpan { bytes throws(HTTPError) in
                    try parser.next(in: bytes, limits: limits, head: &head)
                }
                switch step {
                case .needMore: return nil
                case .head, .body: continue
                case .complete: return HTTPRequest(bytes: bytes, head: head, body: [])
                }
            } catch {
                // The limits are narrower now: such a request would be refused.
                return nil
            }
        }
    }
}

// MARK: WebSocket

extension WebSocketConversation {
    var isParkable: Bool { application.parkingName != nil }

    func park(on connection: Connection, _ ledger: HandoverLedger) -> ParkedTalk? {
        guard !isClosing, let name = application.parkingName else { return nil }
        let session = takeSession()
        putBack(session)
        var parked = ParkedWebSocket(
            identity: ledger.identity(of: principal),
            application: membership.flowUser.map { "\(name):\($0)" } ?? name,
            address: membership.address, deflateBits: deflateBits, session: session)
        if let arrival {
            parked.carry = arrival.carry
            parked.message = arrival.message
            if arrival.inflater != nil { parked.compressed = arrival.compressed }
        }
        parked.subscriptions = subscriptions.all.map {
            ParkedWebSocket.Subscription(
                id: $0.id, types: $0.value.types, filter: $0.value.filter.json.bytes)
        }
        application.park(self, into: &parked)
        return ParkedTalk(talk: .webSocket(parked), principal: principal, unread: [])
    }

    func restored(_ parked: ParkedWebSocket, on connection: Connection) {
        restored(on: connection)
        putBack(parked.session.limited(by: shared.limits))
        if !parked.carry.isEmpty || !parked.message.isEmpty || parked.compressed != nil {
            let arrival = arrival ?? Arrival()
            arrival.carry = parked.carry
            arrival.message = parked.message
            self.arrival = arrival
            if let compressed = parked.compressed { reinflate(compressed, arrival) }
        }
        if !isClosing { application.restored(self, from: parked) }
    }

    /// An inflater cannot be handed over: a new one reads again what the old one had read.
    private func reinflate(_ compressed: [UInt8], _ arrival: Arrival) {
        guard let inflater = shared.compression.takeInflater() else {
            return close(.tryAgainLater, "too many compressed messages at a time")
        }
        _ = compressed.withRawSpan {
            shared.compression.inflate($0, isLast: false, with: inflater) { _, _ in true }
        }
        arrival.inflater = inflater
        arrival.compressed = compressed
    }

    fileprivate static func json(_ text: [UInt8]) -> JSONValue? {
        text.withRawSpan { bytes in
            do throws(JSONError) {
                return try JSONValue(parsing: bytes)
            } catch {
                // Written by us and covered by the checksum; a filter that says nothing is safe only
                // because access is judged apart from it.
                return nil
            }
        }
    }
}

extension WebSocketHub {
    var parkingName: String? { "hub" }

    func park(_ peer: WebSocketConversation, into parked: inout ParkedWebSocket) {
        guard peer.slot >= 0 else { return }
        let row = fanout.rows[Int(peer.slot)]
        parked.cursor = row.cursor
        parked.silence = second - row.lastHeard
        parked.stall = row.stallMark == 0 ? 0 : max(1, row.stalledTime(at: second))
    }

    func restored(_ peer: WebSocketConversation, from parked: ParkedWebSocket) {
        for one in parked.subscriptions {
            let filter = WebSocketConversation.json(one.filter) ?? [:]
            peer.subscriptions.restore(one.id, wishes.share(one.types, filter))
        }
        guard let connection = peer.connection, let slot = enter(peer) else { return }
        fanout.rows[slot].lastHeard = second - min(parked.silence, second / 2)
        if connection.pendingBytes > 0 {
            fanout.block(slot, second: second - min(parked.stall, second / 2))
        }
        // A cursor from another log is beyond this one's end, or before its beginning.
        guard parked.cursor > 0, fanout.rewind(slot, after: parked.cursor - 1) else {
            return resync(peer)
        }
    }
}
