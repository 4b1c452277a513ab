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
        let classID: Int
        let access: EventAccess
        var isBlocked = false

        init(_ exchange: HTTPExchange, cursor: UInt64, classID: Int, access: EventAccess) {
            self.exchange = exchange
            self.cursor = cursor
            self.classID = classID
            self.access = access
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

    /// False when there are too many streams, or too many different filters.
    func begin(
        _ exchange: HTTPExchange, types: [String], since: UInt64?, access: EventAccess
    ) -> Bool {
        let filter = FilterClass(
            subscriptions: [EventSubscription(types: types)], access: access)
        guard streams.count < streamsMax, let classID = fanout.join(filter) else { return false }
        let stream = Stream(exchange, cursor: fanout.events.next, classID: classID, access: access)
        let key = ObjectIdentifier(stream)
        streams[key] = stream
        exchange.abandoned = { [weak self] in self?.end(key) }
        exchange.drained = { [weak self, weak stream] in
            guard let stream, stream.isBlocked else { return }
            stream.isBlocked = false
            self?.hasUnblocked = true
        }
        var response = HTTPResponse(
            .ok, headers: [.init(name: "Cache-Control", value: "no-store")])
        response.contentType = "text/event-stream"
        exchange.beginStream(response)
        place(stream, since)
        return true
    }

    private func place(_ stream: Stream, _ since: UInt64?) {
        let events = fanout.events
        if let since, since < events.next, since + 1 >= events.oldest {
            stream.cursor = since + 1
            fanout.cover(stream.classID, from: stream.cursor)
            hasUnblocked = true
        } else {
            stream.exchange.stream(
                status(stream.access, since != nil).withRawSpan {
                    Self.event(id: events.next - 1, $0)
                })
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
