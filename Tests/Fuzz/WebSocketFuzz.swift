// A stream of frames, read whole, byte by byte and in random pieces: no crash, and always the
// same messages and the same end. The last byte of the input chooses role, compression and limits.

@c(LLVMFuzzerTestOneInput)
public func fuzzWebSocket(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    var bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: count))
    guard let choice = bytes.popLast() else { return 0 }
    let limits =
        choice & 1 == 0
        ? WebSocketLimits() : WebSocketLimits(frameBytesMax: 150, messageBytesMax: 200)
    let session = WebSocketSession(
        role: choice & 2 == 0 ? .server : .client, allowsCompression: choice & 4 != 0,
        limits: limits)
    func inflate(_ bytes: [UInt8]) -> [UInt8] {
        // Byte for byte: what it makes must not depend on where the input is cut.
        choice & 8 == 0 ? bytes : bytes.flatMap { [$0, $0, $0] }
    }
    func read(_ cut: Cut) -> [WebSocketTranscript.Entry] {
        WebSocketTranscript.read(bytes, cut: cut, session: session, inflate: inflate)
    }

    let whole = read(.whole)
    for cut in [Cut.byteByByte, .random(seed: UInt64(choice)), .random(seed: UInt64(count))] {
        let other = read(cut)
        require(other == whole, "\(cut): \(other) instead of \(whole)")
    }
    for entry in whole { check(entry, limits) }
    return 0
}

/// What the rest of the program relies on.
private func check(_ entry: WebSocketTranscript.Entry, _ limits: WebSocketLimits) {
    switch entry {
    case .message(let isText, let payload):
        require(payload.count <= limits.messageBytesMax)
        require(!isText || String(validating: payload, as: UTF8.self) != nil)
    case .pong(let payload), .heardPong(let payload):
        require(payload.count <= 125)
    case .close(let code, _):
        let code = WebSocketCloseCode(rawValue: code)
        require(code.mayBeSent || code == .none)
    case .closed:
        break
    }
}
