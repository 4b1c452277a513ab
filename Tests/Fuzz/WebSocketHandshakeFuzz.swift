// The opening handshake: a request head, checked, and what was agreed about compression. The last
// byte of the input chooses the policy; the others follow the lines of a request that is right, so
// that most of the time is spent on the headers of this protocol.

@c(LLVMFuzzerTestOneInput)
public func fuzzWebSocketHandshake(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    var bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: count))
    guard let choice = bytes.popLast() else { return 0 }
    let right = """
        GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n
        """
    let request = (choice & 1 == 0 ? [UInt8](right.utf8) : []) + bytes + [13, 10, 13, 10]
    let policy = PerMessageDeflate.Policy(
        serverWindowBitsMax: 9 + choice % 7, clientWindowBitsMax: 8 + choice / 7 % 8)
    var head = HTTPRequestHead()
    var parser = HTTPRequestParser()
    let span = unsafe request.span.bytes
    guard let step = try? parser.next(in: span, limits: HTTPLimits(), head: &head), step == .head
    else { return 0 }
    var digests = 0
    do throws(WebSocketHandshakeError) {
        let handshake = try WebSocketHandshake.check(head, in: span, deflate: policy) {
            digests += 1
            require($0.byteCount == 60)
            return [20 of UInt8](repeating: 7)
        }
        require(digests == 1)
        check(handshake, policy)
    } catch {
        require([400, 405, 426, 505].contains(error.status.code), "\(error)")
    }
    return 0
}

/// What the rest of the program relies on.
private func check(_ handshake: WebSocketHandshake, _ policy: PerMessageDeflate.Policy) {
    var writer = ByteWriter(capacity: 512)
    handshake.respond(into: &writer)
    let text = writer.string()
    require(text.hasPrefix("HTTP/1.1 101 ") && text.hasSuffix("\r\n\r\n"))
    require(text.split(separator: "\r\n", omittingEmptySubsequences: false).count <= 7)
    guard let deflate = handshake.deflate else {
        return require(!text.contains("Extensions"))
    }
    require((9...policy.serverWindowBitsMax).contains(deflate.serverWindowBits))
    require((8...15).contains(deflate.clientWindowBits))
    require(text.contains("permessage-deflate; server_no_context_takeover"))
}
