import OmniCore

/// Server-sent events: the hub's log for plain HTTP clients.
///
/// Each stream is a cursor too, but its events are copied into chunks, with the sequence number as
/// their id, so that `Last-Event-ID` resumes. A stream whose client does not read is not written
/// to; who falls behind the log gets a snapshot marked `resync`.
final class EventStreams {
    private final class Stream {
        let exchange: HTTPExchange
        var cursor: UInt64
        var classID: Int
        let types: [String]
        let principal: Principal
        var access: EventAccess
        var isBlocked = false

        init(
            _ exchange: HTTPExchange, types: [String], cursor: UInt64, classID: Int,
            principal: Principal
        ) {
            self.types = types
            self.exchange = exchange
            self.cursor = cursor
            self.classID = classID
            self.principal = principal
            access = principal.eventAccess
        }
    }

    private let fanout: Fanout
    private let streamsMax: Int
    /// Bytes handed over that the client has not taken; beyond it the stream waits.
    private static let pendingBytesMax = 64 << 10
    private var streams: [ObjectIdentifier: Stream] = [:]
    private var seen: UInt64 = 0
    private var hasUnblocked = false
    /// `initial_status` for a stream that begins, or that lost its place.
    private let status: (EventAccess, _ isResync: Bool) -> [UInt8]

    init(
        _ fanout: Fanout, streamsMax: Int,
        status: @escaping (EventAccess, _ isResync: Bool) -> [UInt8]
    ) {
        self.fanout = fanout
        self.streamsMax = streamsMax
        self.status = status
    }

    var count: Int { streams.count }
    var principals: Set<Principal> { Set(streams.values.map(\.principal)) }

    /// False when there are too many streams, or too many different filters.
    func begin(
        _ exchange: HTTPExchange, types: [String], since: UInt64?, for principal: Principal
    ) -> Bool {
        guard let stream = enter(exchange, types, principal) else { return false }
        var response = HTTPResponse(
            .ok, headers: [.init(name: "Cache-Control", value: "no-store")])
        response.contentType = "text/event-stream"
        exchange.beginStream(response)
        place(stream, since)
        return true
    }

    /// A stream that a predecessor began; it had got everything before `cursor`.
    func restore(
        _ exchange: HTTPExchange, types: [String], cursor: UInt64, for principal: Principal
    ) -> Bool {
        guard let stream = enter(exchange, types, principal) else { return false }
        place(stream, cursor &- 1)
        return true
    }

    private func enter(
        _ exchange: HTTPExchange, _ types: [String], _ principal: Principal
    ) -> Stream? {
        let access = principal.eventAccess
        let filter = FilterClass(
            subscriptions: [EventSubscription(types: types)], access: access)
        guard streams.count < streamsMax, let classID = fanout.join(filter) else { return nil }
        let stream = Stream(
            exchange, types: types, cursor: fanout.events.next, classID: classID,
            principal: principal)
        exchange.principal = principal
        let key = ObjectIdentifier(stream)
        streams[key] = stream
        exchange.abandoned = { [weak self] in self?.end(key) }
        exchange.drained = { [weak self, weak stream] in
            guard let stream, stream.isBlocked else { return }
            stream.isBlocked = false
            self?.hasUnblocked = true
        }
        exchange.standing = { [weak stream] in
            stream.map { .events(types: $0.types, cursor: $0.cursor) }
        }
        return stream
    }

    private func place(_ stream: Stream, _ since: UInt64?) {
        let events = fanout.events
        if let since, let cursor = events.cursor(after: since) {
            stream.cursor = cursor
            fanout.cover(stream.classID, from: stream.cursor)
            hasUnblocked = true
        } else {
            stream.exchange.stream(
                status(stream.access, since != nil).withRawSpan {
                    Self.event(id: events.next - 1, $0)
                })
        }
    }

    /// Nil ends the streams of whoever may not be here any more.
    func accessChanged(_ principal: Principal, to access: EventAccess?) {
        for (key, stream) in streams where stream.principal == principal {
            if let access, let old = fanout.matches[stream.classID],
                let id = fanout.join(
                    FilterClass(
                        subscriptions: Array(old.subscriptions), access: access))
            {
                fanout.leave(stream.classID)
                fanout.cover(id, from: stream.cursor)
                stream.classID = id
                stream.access = access
            } else {
                end(key)
                stream.exchange.endStream()
            }
        }
    }

    private func end(_ key: ObjectIdentifier) {
        guard let stream = streams.removeValue(forKey: key) else { return }
        fanout.leave(stream.classID)
    }

    /// End of the turn.
    func drain() {
        guard !streams.isEmpty, seen != fanout.events.next || hasUnblocked else { return }
        seen = fanout.events.next
        hasUnblocked = false
        for stream in streams.values where !stream.isBlocked { write(stream) }
    }

    private func write(_ stream: Stream) {
        let events = fanout.events
        if stream.cursor < events.oldest {
            stream.cursor = events.next
            stream.exchange.stream(
                status(stream.access, true).withRawSpan { Self.event(id: events.next - 1, $0) })
        }
        var bytes: [UInt8] = []
        while bytes.count < Self.pendingBytesMax,
            let sequence = fanout.matches.first(
                of: stream.classID, from: stream.cursor, before: events.next)
        {
            bytes += unsafe Self.event(id: sequence, events.payload(sequence).bytes)
            stream.cursor = sequence + 1
        }
        if bytes.count < Self.pendingBytesMax { stream.cursor = events.next }
        if !bytes.isEmpty { stream.exchange.stream(bytes) }
        stream.isBlocked = stream.exchange.pendingBytes > 0
    }

    /// The payload is one line of JSON: no line break can end the event early.
    private static func event(id: UInt64, _ payload: RawSpan) -> [UInt8] {
        var writer = ByteWriter(capacity: payload.byteCount + 40)
        writer.append("id: ")
        writer.append(decimal: id)
        writer.append("\ndata: ")
        writer.append(payload)
        writer.append("\n\n")
        return writer.array()
    }
}
