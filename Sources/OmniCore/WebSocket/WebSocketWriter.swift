/// Frames out. A server's header holds no mask, so a frame written once serves every receiver.
public enum WebSocketWriter {
    /// Header bytes of a frame with `payloadCount` bytes.
    public static func headerCount(payloadCount: Int, isMasked: Bool = false) -> Int {
        let length = payloadCount < 126 ? 2 : payloadCount <= 0xFFFF ? 4 : 10
        return length + (isMasked ? 4 : 0)
    }

    /// Only the header, for a payload that is sent from elsewhere. Written whole or not at all.
    public static func header(
        _ opcode: WebSocketOpcode, payloadCount: Int, isFinal: Bool = true,
        isCompressed: Bool = false, mask: ByteMask? = nil, into writer: inout ByteWriter
    ) {
        guard writer.makesRoom(for: headerCount(payloadCount: payloadCount, isMasked: mask != nil))
        else { return }
        writer.append(opcode.rawValue | (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0))
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        if payloadCount < 126 {
            writer.append(maskBit | UInt8(payloadCount))
        } else if payloadCount <= 0xFFFF {
            writer.append(maskBit | 126)
            writer.append(bigEndian: UInt16(payloadCount))
        } else {
            writer.append(maskBit | 127)
            writer.append(bigEndian: UInt64(payloadCount))
        }
        if let mask { writer.append(mask) }
    }

    /// A whole frame, or nothing if it does not fit. With `mask` the payload is masked: for
    /// clients.
    public static func frame(
        _ opcode: WebSocketOpcode, _ payload: RawSpan, isFinal: Bool = true,
        isCompressed: Bool = false, mask: ByteMask? = nil, into writer: inout ByteWriter
    ) {
        let count = payload.byteCount
        precondition(
            !opcode.isControl || count <= 125 && isFinal,
            "a control frame is one frame of at most 125 bytes")
        let headerBytes = headerCount(payloadCount: count, isMasked: mask != nil)
        guard writer.makesRoom(for: headerBytes + count) else { return }
        header(
            opcode, payloadCount: count, isFinal: isFinal, isCompressed: isCompressed, mask: mask,
            into: &writer)
        let start = writer.count
        writer.append(payload)
        if let mask {
            writer.withMutableBytes { bytes in
                mask.apply(to: &bytes, ByteRange(offset: start, count: count))
            }
        }
    }

    /// A close frame. A code that must not be sent (`none`) makes it empty.
    public static func close(
        _ code: WebSocketCloseCode, reason: StaticString = "", mask: ByteMask? = nil,
        into writer: inout ByteWriter
    ) {
        guard code.mayBeSent else {
            header(.close, payloadCount: 0, mask: mask, into: &writer)
            return
        }
        let count = 2 + reason.utf8CodeUnitCount
        precondition(count <= 125, "a close reason has at most 123 bytes")
        let headerBytes = headerCount(payloadCount: count, isMasked: mask != nil)
        guard writer.makesRoom(for: headerBytes + count) else { return }
        header(.close, payloadCount: count, mask: mask, into: &writer)
        let start = writer.count
        writer.append(bigEndian: code.rawValue)
        writer.append(reason)
        if let mask {
            writer.withMutableBytes { bytes in
                mask.apply(to: &bytes, ByteRange(offset: start, count: count))
            }
        }
    }
}

extension ByteWriter {
    mutating func append(bigEndian value: UInt16) {
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    mutating func append(bigEndian value: UInt64) {
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    mutating func append(_ mask: ByteMask) {
        let key = mask.key.littleEndian
        for shift in stride(from: UInt32(0), through: 24, by: 8) {
            append(UInt8(truncatingIfNeeded: key >> shift))
        }
    }
}
