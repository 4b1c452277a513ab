import OmniCore

/// Frames as a client or a server would send them, for tests.
func frame(
    _ opcode: WebSocketOpcode, _ payload: [UInt8] = [], isFinal: Bool = true,
    isCompressed: Bool = false, mask: ByteMask? = ByteMask(0x37, 0xFA, 0x21, 0x3D)
) -> [UInt8] {
    var writer = ByteWriter(capacity: payload.count + 14)
    // Not WebSocketWriter.frame: that one refuses to write what a hostile peer may send.
    WebSocketWriter.header(
        opcode, payloadCount: payload.count, isFinal: isFinal, isCompressed: isCompressed,
        mask: mask, into: &writer)
    let start = writer.count
    writer.append(payload)
    if let mask {
        writer.withMutableBytes { bytes in
            mask.apply(to: &bytes, ByteRange(offset: start, count: payload.count))
        }
    }
    return writer.array()
}

func frame(_ opcode: WebSocketOpcode, _ text: String, isFinal: Bool = true) -> [UInt8] {
    frame(opcode, [UInt8](text.utf8), isFinal: isFinal)
}

func closeFrame(_ code: UInt16, _ reason: [UInt8] = []) -> [UInt8] {
    frame(.close, [UInt8(code >> 8), UInt8(code & 255)] + reason)
}
