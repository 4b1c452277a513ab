#if canImport(OmniCore)
import OmniCore
#endif

/// What a session made of a stream of frames, whatever the pieces it came in: parts of a message
/// are joined. Plays the connection: keeps what was not consumed, shows it again with more.
enum WebSocketTranscript {
    enum Entry: Hashable {
        case message(isText: Bool, [UInt8])
        case pong([UInt8])
        case heardPong([UInt8])
        case close(UInt16, WebSocketError?)
        case closed
    }

    /// Compressed messages are not inflated but taken as they are, unless `inflate` is given.
    static func read(
        _ bytes: [UInt8], cut: Cut, session: WebSocketSession = WebSocketSession(),
        inflate: ([UInt8]) -> [UInt8] = { $0 }
    ) -> [Entry] {
        var session = session
        var reader = Reader()
        var kept: [UInt8] = []
        for piece in cut.pieces(of: bytes) {
            var buffer = kept + piece
            var position = 0
            while true {
                var elements = buffer.mutableSpan
                var span = unsafe elements.mutableBytes
                let action = session.received(&span, position: &position)
                if action == .needMore { break }
                guard reader.take(action, buffer, &session, inflate) else { return reader.entries }
            }
            kept = [UInt8](buffer[position...])
            precondition(kept.count <= 130, "a session leaves at most 130 bytes")
        }
        return reader.entries
    }

    private struct Reader {
        var entries: [Entry] = []
        private var message: [UInt8] = []

        /// False when the connection ends.
        mutating func take(
            _ action: WebSocketAction, _ buffer: [UInt8], _ session: inout WebSocketSession,
            _ inflate: ([UInt8]) -> [UInt8]
        ) -> Bool {
            switch action {
            case .needMore: return true
            case .deliver(let part):
                message += buffer[part.payload.range]
                if part.isLast {
                    entries.append(.message(isText: part.isText, message))
                    message = []
                }
                return true
            case .inflate(let part):
                let inflated = inflate([UInt8](buffer[part.payload.range]))
                let next = unsafe session.inflated(
                    inflated.span.bytes, endsMessage: part.isLast)
                return take(next, inflated, &session, inflate)
            case .sendPong(let range):
                entries.append(.pong([UInt8](buffer[range.range])))
                return true
            case .pongReceived(let range):
                entries.append(.heardPong([UInt8](buffer[range.range])))
                return true
            case .close(let closing):
                switch closing.cause {
                case .peer: entries.append(.close(closing.code.rawValue, nil))
                case .error(let error): entries.append(.close(closing.code.rawValue, error))
                }
                return false
            case .closed:
                entries.append(.closed)
                return false
            }
        }
    }
}
