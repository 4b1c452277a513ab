// permessage-deflate with real zlib, as a connection uses it. The input is taken twice.
//
// As frames of a peer: read whole, byte by byte and in random pieces, they mean the same messages
// and end alike, nothing exceeds the limits, and no inflater is lost. As a message of ours: deflated,
// cut into frames and read back it is what it was. The last byte of the input chooses the rest.

@c(LLVMFuzzerTestOneInput)
public func fuzzWebSocketDeflate(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    var bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: count))
    guard let choice = bytes.popLast() else { return 0 }
    let limits =
        choice & 1 == 0
        ? WebSocketLimits(frameBytesMax: 1 << 16, messageBytesMax: 1 << 18)
        : WebSocketLimits(frameBytesMax: 150, messageBytesMax: 200)
    let whole = read(bytes, .whole, limits)
    for cut in [Cut.byteByByte, .random(seed: UInt64(choice)), .random(seed: UInt64(count))] {
        let other = read(bytes, cut, limits)
        require(other.messages == whole.messages, "\(cut): other messages")
        require(other.isOver == whole.isOver, "\(cut): \(other.isOver) instead of \(whole.isOver)")
    }
    for message in whole.messages {
        require(message.bytes.count <= limits.messageBytesMax)
        require(!message.isText || String(validating: message.bytes, as: UTF8.self) != nil)
    }
    checkRoundTrip(bytes, choice)
    return 0
}

private struct Message: Equatable {
    let isText: Bool
    let bytes: [UInt8]
}

private struct Transcript {
    var messages: [Message] = []
    var isOver = false
}

/// Shared by all inputs, as it is shared by all connections: what one leaves must not matter.
nonisolated(unsafe) private let compression = MessageCompression(inflatersMax: 2)

/// Plays the connection. A server's side of the conversation.
private func read(_ bytes: [UInt8], _ cut: Cut, _ limits: WebSocketLimits) -> Transcript {
    var reader = Reader(role: .server, limits)
    for piece in cut.pieces(of: bytes) where !reader.transcript.isOver { reader.take(piece) }
    reader.finish()
    return reader.transcript
}

private struct Reader {
    var transcript = Transcript()
    private var session: WebSocketSession
    private var kept: [UInt8] = []
    private var message: [UInt8] = []
    private var inflater: Inflater?

    init(role: WebSocketRole, _ limits: WebSocketLimits) {
        session = WebSocketSession(role: role, allowsCompression: true, limits: limits)
    }

    mutating func take(_ piece: [UInt8]) {
        var buffer = kept + piece
        var position = 0
        while !transcript.isOver {
            var elements = buffer.mutableSpan
            var span = unsafe elements.mutableBytes
            switch session.received(&span, position: &position) {
            case .needMore:
                kept = [UInt8](buffer[position...])
                require(kept.count <= 130, "a session leaves at most 130 bytes")
                return
            case .deliver(let part): deliver(part, buffer)
            case .inflate(let part): inflate(part, buffer)
            case .sendPong, .pongReceived: break
            case .close, .closed: transcript.isOver = true
            }
        }
    }

    mutating func finish() {
        if let inflater { compression.giveBack(inflater) }
        inflater = nil
        guard let one = compression.takeInflater(), let other = compression.takeInflater() else {
            require(false, "an inflater was not given back")
            return
        }
        compression.giveBack(one)
        compression.giveBack(other)
    }

    private mutating func deliver(_ part: WebSocketMessagePart, _ bytes: [UInt8]) {
        message += bytes[part.payload.range]
        guard part.isLast else { return }
        transcript.messages.append(Message(isText: part.isText, bytes: message))
        message = []
    }

    private mutating func inflate(_ part: WebSocketMessagePart, _ bytes: [UInt8]) {
        guard let inflater = inflater ?? compression.takeInflater() else {
            return require(false, "one message needs one inflater")
        }
        let payload = [UInt8](bytes[part.payload.range])
        var actions: [(WebSocketAction, [UInt8])] = []
        var wanted = true
        let outcome = unsafe compression.inflate(
            payload.span.bytes, isLast: part.isLast, with: inflater
        ) { piece, endsMessage in
            let copy = piece.array(ByteRange(offset: 0, count: piece.byteCount))
            let action = unsafe session.inflated(copy.span.bytes, endsMessage: endsMessage)
            actions.append((action, copy))
            if case .deliver = action { return true }
            wanted = false
            return false
        }
        for (action, copy) in actions {
            if case .deliver(let part) = action { deliver(part, copy) }
        }
        if case .invalid = outcome { wanted = false }
        if !wanted { transcript.isOver = true }
        if part.isLast || transcript.isOver {
            compression.giveBack(inflater)
            self.inflater = nil
        } else {
            self.inflater = inflater
        }
    }
}

/// Deflated by the one deflater of its window size, sent in frames of random length, read back.
private func checkRoundTrip(_ bytes: [UInt8], _ choice: UInt8) {
    let windowBits = 9 + Int(choice) % 7
    // Longer than a window, so that distances matter.
    var message = bytes
    while message.count < Int(choice) * 8, !bytes.isEmpty { message += bytes }
    guard let deflater = try? Deflater(windowBits: windowBits) else { return }
    var output = [UInt8](repeating: 0, count: Deflater.room(for: message.count))
    let count = unsafe output.withUnsafeMutableBytes {
        unsafe deflater.message(message.span.bytes, into: $0)
    }
    guard let count else { return require(false, "the room is always enough") }
    var random = SplitMix(seed: UInt64(choice))
    var reader = Reader(
        role: .client, WebSocketLimits(frameBytesMax: 1 << 20, messageBytesMax: 1 << 20))
    var position = 0
    repeat {
        let size = min(Int(random.next() % 300), count - position)
        let isFirst = position == 0
        position += size
        let isLast = position == count
        var frame: [UInt8] = [(isLast ? 0x80 : 0) | (isFirst ? 0x42 : 0)]
        frame += size < 126 ? [UInt8(size)] : [126, UInt8(size >> 8), UInt8(size & 255)]
        // A first frame without payload must not be followed by another first one.
        if isFirst, size == 0, !isLast { continue }
        reader.take(frame + output[(position - size)..<position])
    } while position < count
    reader.finish()
    require(
        reader.transcript.messages == [Message(isText: false, bytes: message)],
        "\(message.count) bytes came back as \(reader.transcript.messages.map(\.bytes.count))")
}
