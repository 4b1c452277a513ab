/// Bytes → frames (RFC 6455 §5.2), incremental at every byte boundary, unmasking in place.
///
/// The payload of a data frame is handed out in pieces as it arrives, so a large frame needs no
/// buffer here; a control frame is handed out whole. What is not consumed (part of a header, or
/// of a control frame: at most 130 bytes) the caller keeps and shows again with more behind it.
/// State between calls is 24 bytes.
public struct WebSocketParser: Hashable, Sendable {
    public enum Step: Hashable, Sendable {
        /// Keep the bytes from `position` on.
        case needMore
        case piece(Piece)
    }

    /// A frame, or what has come of it.
    public struct Piece: Hashable, Sendable {
        public let opcode: WebSocketOpcode
        /// The frame is the last one of its message.
        public let isFinalFrame: Bool
        /// RSV1: the frame begins a compressed message.
        public let isCompressed: Bool
        /// The first piece of its frame / the last one. A whole frame is both.
        public let beginsFrame: Bool
        public let endsFrame: Bool
        /// Unmasked already.
        public let payload: ByteRange
    }

    struct Flags: OptionSet, Hashable, Sendable {
        let rawValue: UInt8
        static let insideFrame = Flags(rawValue: 1)
        static let beganPayload = Flags(rawValue: 2)
        static let final = Flags(rawValue: 4)
        static let compressed = Flags(rawValue: 8)
        static let masked = Flags(rawValue: 16)
    }

    /// Payload bytes of the current frame that are still to come.
    var remaining: UInt32 = 0
    var mask = ByteMask(key: 0)
    /// Where in the mask the next payload byte stands.
    var phase: UInt8 = 0
    var opcode = WebSocketOpcode.continuation
    var flags: Flags = []
    let role: WebSocketRole
    let allowsCompression: Bool
    private let frameBytesMax: UInt32

    /// `role` is ours: a server wants masked frames, a client unmasked ones.
    public init(
        role: WebSocketRole = .server, allowsCompression: Bool = false,
        limits: WebSocketLimits = WebSocketLimits()
    ) {
        self.role = role
        self.allowsCompression = allowsCompression
        frameBytesMax = UInt32(limits.frameBytesMax)
    }

    /// Advances `position` over what it consumes; call it until it needs more.
    public mutating func next(
        in bytes: inout MutableRawSpan, position: inout Int
    ) throws(WebSocketError) -> Step {
        if !flags.contains(.insideFrame) {
            guard try readHeader(bytes.bytes, &position) else { return .needMore }
        }
        let available = bytes.byteCount - position
        let count = min(Int(remaining), available)
        if count < Int(remaining), opcode.isControl || count == 0 { return .needMore }

        let payload = ByteRange(offset: position, count: count)
        if flags.contains(.masked) {
            mask.apply(to: &bytes, payload, phase: Int(phase))
        }
        position += count
        remaining -= UInt32(count)
        phase = UInt8(truncatingIfNeeded: (Int(phase) + count) & 3)
        let piece = Piece(
            opcode: opcode, isFinalFrame: flags.contains(.final),
            isCompressed: flags.contains(.compressed),
            beginsFrame: !flags.contains(.beganPayload), endsFrame: remaining == 0,
            payload: payload)
        flags.insert(.beganPayload)
        if remaining == 0 { flags = Flags(rawValue: 0) }
        return .piece(piece)
    }

    /// Behind a header whose payload is still to come.
    var isMidway: Bool { flags.contains(.insideFrame) }

    /// What the current frame still owes after the piece handed out last.
    var remainingInFrame: Int { Int(remaining) }

    /// False, with nothing consumed, while the header is incomplete. What is wrong with the first
    /// two bytes is said as soon as they are there.
    private mutating func readHeader(
        _ bytes: RawSpan, _ position: inout Int
    ) throws(WebSocketError) -> Bool {
        let available = bytes.byteCount - position
        guard available >= 2 else { return false }
        let first = bytes[position]
        let second = bytes[position + 1]
        let isMasked = second & 0x80 != 0
        let short = Int(second & 0x7F)
        let opcode = try checkStart(first, short: short, isMasked: isMasked)

        let lengthBytes = short < 126 ? 0 : short == 126 ? 2 : 8
        let headerBytes = 2 + lengthBytes + (isMasked ? 4 : 0)
        guard available >= 2 + lengthBytes else { return false }
        let length = try readLength(bytes, at: position + 2, short: short)
        guard length <= UInt64(frameBytesMax) || opcode.isControl else {
            throw .frameTooLarge(limit: Int(frameBytesMax))
        }
        guard available >= headerBytes else { return false }

        var flags = Flags.insideFrame
        if first & 0x80 != 0 { flags.insert(.final) }
        if first & 0x40 != 0 { flags.insert(.compressed) }
        if isMasked {
            flags.insert(.masked)
            let key = position + 2 + lengthBytes
            mask = ByteMask(bytes[key], bytes[key + 1], bytes[key + 2], bytes[key + 3])
        }
        self.flags = flags
        self.opcode = opcode
        phase = 0
        remaining = UInt32(length)
        position += headerBytes
        return true
    }

    private func checkStart(
        _ first: UInt8, short: Int, isMasked: Bool
    ) throws(WebSocketError) -> WebSocketOpcode {
        guard first & 0x30 == 0 else { throw .reservedBits }
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else { throw .reservedOpcode }
        if first & 0x40 != 0, !allowsCompression || opcode.isControl || opcode == .continuation {
            throw .reservedBits
        }
        if opcode.isControl {
            guard first & 0x80 != 0 else { throw .fragmentedControlFrame }
            guard short <= 125 else { throw .controlFrameTooLong }
        }
        guard isMasked == (role == .server) else { throw role == .server ? .notMasked : .masked }
        return opcode
    }

    private func readLength(
        _ bytes: RawSpan, at offset: Int, short: Int
    ) throws(WebSocketError) -> UInt64 {
        switch short {
        case 126:
            let length = UInt64(bytes[offset]) << 8 | UInt64(bytes[offset + 1])
            guard length > 125 else { throw .invalidLength }
            return length
        case 127:
            let length = UInt64(bigEndian: bytes.word(at: offset))
            guard length > 0xFFFF, length >> 63 == 0 else { throw .invalidLength }
            return length
        default:
            return UInt64(short)
        }
    }
}

/// Which end of the connection we are.
public enum WebSocketRole: Hashable, Sendable { case server, client }
