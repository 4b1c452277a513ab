/// The rules of one WebSocket connection (RFC 6455 §5–7): bytes in, one action out.
///
/// Control frames may stand between the fragments of a message; text is checked as it arrives,
/// so that nonsense ends the connection at its first bad byte; the message limit counts all
/// fragments. Nothing is stored but a few counters (`MemoryLayout<Self>.size` is tested), and a
/// message that arrives whole is never copied.
///
/// Compression (RFC 7692) needs zlib, which lives elsewhere: the session asks for it with
/// `.inflate` and judges the result in `inflated`.
public struct WebSocketSession: Hashable, Sendable {
    public enum State: UInt8, Hashable, Sendable {
        /// Both sides may send. → `closing` by `close`, → `closed` by the peer or an error.
        case open
        /// Our close frame is out; data is ignored, pings are answered. → `closed` when the
        /// peer's arrives. How long to wait is the owner's business.
        case closing
        /// Nothing is read or sent any more.
        case closed
    }

    struct Flags: OptionSet, Hashable, Sendable {
        let rawValue: UInt8
        /// Between the first frame of a message and the end of its last one.
        static let insideMessage = Flags(rawValue: 1)
        static let text = Flags(rawValue: 2)
        static let compressed = Flags(rawValue: 4)
        /// A part of the message has been given out (of a compressed one: inflated).
        static let delivered = Flags(rawValue: 8)
    }

    public internal(set) var state = State.open
    // Seen by `Handover`, which takes them across a restart.
    var flags: Flags = []
    var text = UTF8Validator()
    /// Of the current message: payload bytes as on the wire, and inflated.
    var messageBytes: UInt32 = 0
    var inflatedBytes: UInt32 = 0
    private let messageBytesMax: UInt32
    var parser: WebSocketParser

    public init(
        role: WebSocketRole = .server, allowsCompression: Bool = false,
        limits: WebSocketLimits = WebSocketLimits()
    ) {
        parser = WebSocketParser(
            role: role, allowsCompression: allowsCompression, limits: limits)
        messageBytesMax = UInt32(limits.messageBytesMax)
    }

    init(parser: WebSocketParser, limits: WebSocketLimits = WebSocketLimits()) {
        self.parser = parser
        messageBytesMax = UInt32(limits.messageBytesMax)
    }

    /// Inside a frame or a message. When it is not, and open, it is as good as a new one: its owner
    /// need not keep it.
    public var isMidway: Bool { flags.contains(.insideMessage) || parser.isMidway }

    /// Reads on from `position` in `bytes`, which are unmasked in place, up to the next thing that
    /// asks for an action. Call it until it answers `.needMore`, `.close` or `.closed`.
    public mutating func received(
        _ bytes: inout MutableRawSpan, position: inout Int
    ) -> WebSocketAction {
        guard state != .closed else {
            position = bytes.byteCount
            return .closed
        }
        do throws(WebSocketError) {
            while true {
                guard case .piece(let piece) = try parser.next(in: &bytes, position: &position)
                else { return .needMore }
                if piece.opcode.isControl {
                    return try control(piece, bytes.bytes)
                }
                if state == .open { return try data(piece, bytes.bytes) }
            }
        } catch {
            return fail(error)
        }
    }

    /// Judges what became of an `.inflate` action: `bytes` are the next of the message, and the
    /// last when `endsMessage`. Answers `.deliver`, with a range in `bytes`, or `.close`.
    public mutating func inflated(_ bytes: RawSpan, endsMessage: Bool) -> WebSocketAction {
        // We may have begun to close since: then data is ignored here too.
        guard state == .open else { return state == .closing ? .needMore : .closed }
        precondition(flags.contains(.compressed), "no compressed message is being read")
        // What fits is judged before the limit is, so that the verdict does not depend on the
        // pieces the inflater makes.
        let room = Int(messageBytesMax - inflatedBytes)
        let fits = bytes.byteCount <= room
        let payload = ByteRange(offset: 0, count: min(bytes.byteCount, room))
        inflatedBytes += UInt32(payload.count)
        do throws(WebSocketError) {
            let part = try part(payload, in: bytes, isLast: endsMessage && fits)
            guard fits else { throw .messageTooLarge(limit: Int(messageBytesMax)) }
            return .deliver(part)
        } catch {
            return fail(error)
        }
    }

    /// Ends the connection because of `error`: for what only the owner can notice (`
    /// invalidCompression`, `unsupportedData`, `internalError`).
    public mutating func fail(_ error: WebSocketError) -> WebSocketAction {
        defer { state = .closed }
        guard state == .open else { return .closed }
        return .close(WebSocketClosing(code: error.closeCode, cause: .error(error)))
    }

    /// We want to close. True if a close frame is to be sent now; false if one was sent before.
    public mutating func close() -> Bool {
        guard state == .open else { return false }
        state = .closing
        return true
    }

    // MARK: Data

    private mutating func data(
        _ piece: WebSocketParser.Piece, _ bytes: RawSpan
    ) throws(WebSocketError) -> WebSocketAction {
        if piece.beginsFrame { try beginFrame(piece) }
        let isLast = piece.endsFrame && piece.isFinalFrame
        guard flags.contains(.compressed) else {
            return .deliver(try part(piece.payload, in: bytes, isLast: isLast))
        }
        let isFirst = piece.beginsFrame && piece.opcode != .continuation
        if isLast { flags.remove(.insideMessage) }
        return .inflate(
            WebSocketMessagePart(
                isText: flags.contains(.text), payload: piece.payload, isFirst: isFirst,
                isLast: isLast))
    }

    private mutating func beginFrame(
        _ piece: WebSocketParser.Piece
    ) throws(WebSocketError) {
        let isInside = flags.contains(.insideMessage)
        if piece.opcode == .continuation {
            guard isInside else { throw .unexpectedContinuation }
        } else {
            guard !isInside else { throw .expectedContinuation }
            flags = .insideMessage
            if piece.opcode == .text { flags.insert(.text) }
            if piece.isCompressed { flags.insert(.compressed) }
            text = UTF8Validator()
            messageBytes = 0
            inflatedBytes = 0
        }
        // The whole frame is counted at its header: a message too large is refused before it
        // is received.
        let total = Int(messageBytes) + piece.payload.count + parser.remainingInFrame
        guard total <= Int(messageBytesMax) else {
            throw .messageTooLarge(limit: Int(messageBytesMax))
        }
        messageBytes = UInt32(total)
    }

    /// The next part to deliver, checked if it is text.
    private mutating func part(
        _ payload: ByteRange, in bytes: RawSpan, isLast: Bool
    ) throws(WebSocketError) -> WebSocketMessagePart {
        let isText = flags.contains(.text)
        if isText {
            guard text.consume(bytes, payload), !isLast || text.isComplete else {
                throw .invalidUTF8
            }
        }
        let isFirst = !flags.contains(.delivered)
        flags.insert(.delivered)
        if isLast { flags.remove(.insideMessage) }
        return WebSocketMessagePart(
            isText: isText, payload: payload, isFirst: isFirst, isLast: isLast)
    }

    // MARK: Control

    private mutating func control(
        _ piece: WebSocketParser.Piece, _ bytes: RawSpan
    ) throws(WebSocketError) -> WebSocketAction {
        switch piece.opcode {
        case .ping: return .sendPong(piece.payload)
        case .pong: return .pongReceived(piece.payload)
        default: return try peerClosed(piece.payload, bytes)
        }
    }

    private mutating func peerClosed(
        _ payload: ByteRange, _ bytes: RawSpan
    ) throws(WebSocketError) -> WebSocketAction {
        var code = WebSocketCloseCode.none
        var reason = ByteRange(offset: payload.offset, count: 0)
        if !payload.isEmpty {
            guard payload.count >= 2 else { throw .closePayloadTooShort }
            code = WebSocketCloseCode(
                rawValue: UInt16(bytes[payload.offset]) << 8 | UInt16(bytes[payload.offset + 1]))
            guard code.mayBeSent else { throw .invalidCloseCode }
            reason = ByteRange(from: payload.offset + 2, to: payload.end)
            var validator = UTF8Validator()
            guard validator.consume(bytes, reason), validator.isComplete else {
                throw .invalidUTF8
            }
        }
        defer { state = .closed }
        guard state == .open else { return .closed }
        return .close(WebSocketClosing(code: code, cause: .peer(reason: reason)))
    }
}
