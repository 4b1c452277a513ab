#if canImport(OmniCore)
import OmniCore
#endif

/// What a parser made of an event stream, whatever the pieces it came in.
enum EventStreamTranscript {
    enum Entry: Hashable {
        case event(name: String, data: [UInt8], id: String)
        case retry(Int)
        case tooLarge
    }

    static func read(_ bytes: [UInt8], cut: Cut, eventBytesMax: Int = 4 << 20) -> [Entry] {
        var entries: [Entry] = []
        var parser = EventStreamParser(eventBytesMax: eventBytesMax)
        for piece in cut.pieces(of: bytes) {
            var position = 0
            reading: while true {
                do {
                    switch try unsafe parser.next(in: piece.span.bytes, position: &position) {
                    case .needMore: break reading
                    case .event:
                        let data = parser.withData { span in
                            span.array(ByteRange(offset: 0, count: span.byteCount))
                        }
                        entries.append(
                            .event(name: parser.eventName, data: data, id: parser.lastEventID))
                    case .retry(let milliseconds): entries.append(.retry(milliseconds))
                    }
                } catch {
                    entries.append(.tooLarge)
                    return entries
                }
            }
            precondition(position == piece.count, "an event stream parser leaves no bytes")
        }
        return entries
    }
}
