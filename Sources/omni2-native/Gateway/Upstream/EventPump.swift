import OmniCore

/// Takes the chunks of an event stream and hands out its events; keeps what resuming needs.
final class EventPump {
    private var parser: EventStreamParser
    private let bytesMax: Int
    /// The id to resume after; empty if there was none.
    private(set) var lastEventID = ""
    /// How long the server asks to wait before connecting again.
    private(set) var retry: Duration?

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
        parser = EventStreamParser(eventBytesMax: bytesMax)
    }

    /// A stream begins anew where the last one ended.
    func restart() { parser = EventStreamParser(eventBytesMax: bytesMax) }

    /// Calls `body` with name and data of each event that `chunk` completes.
    func received(
        _ chunk: [UInt8], _ body: (String, [UInt8]) -> Void
    ) throws(UpstreamError) {
        var position = 0
        while true {
            let step: EventStreamParser.Step
            do throws(EventStreamParser.Failure) {
                step = try unsafe parser.next(in: chunk.span.bytes, position: &position)
            } catch {
                throw .tooLarge(limit: bytesMax)
            }
            switch step {
            case .needMore: return
            case .retry(let milliseconds):
                retry = .milliseconds(min(max(milliseconds, 50), 300_000))
            case .event:
                // An event without an id leaves the last one in force.
                if !parser.lastEventID.isEmpty { lastEventID = parser.lastEventID }
                let data = parser.withData { bytes in
                    JSONScanner.copy(ByteRange(offset: 0, count: bytes.byteCount), from: bytes)
                }
                body(parser.eventName, data)
            }
        }
    }
}
