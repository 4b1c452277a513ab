/// The opening handshake, server side (RFC 6455 §4.2): checks the request, writes the answer.
///
/// Who may connect is not decided here: see `HostPolicy`, `OriginPolicy` and the access rules.
public struct WebSocketHandshake: Sendable {
    /// What was agreed about compression; nil: messages are not compressed.
    public let deflate: PerMessageDeflate?
    private let accept: [28 of UInt8]

    /// Whether the request asks for an upgrade to WebSocket at all.
    public static func isRequested(by head: HTTPRequestHead, in bytes: RawSpan) -> Bool {
        head.lists("websocket", in: "Upgrade", bytes)
    }

    /// Checks the request and prepares the answer. `sha1` is given because this module has no
    /// cryptography; it is called once, with 60 bytes. `deflate` nil declines compression.
    public static func check(
        _ head: HTTPRequestHead, in bytes: RawSpan, deflate: PerMessageDeflate.Policy?,
        sha1: (RawSpan) -> [20 of UInt8]
    ) throws(WebSocketHandshakeError) -> WebSocketHandshake {
        guard isRequested(by: head, in: bytes) else { throw .notRequested }
        guard head.method == .get else { throw .methodIsNotGet }
        guard head.version == .http11 else { throw .needsHTTP11 }
        guard head.lists("upgrade", in: "Connection", bytes) else { throw .missingConnection }
        guard head.body == .count(0) else { throw .hasBody }
        guard head.occurrences(of: "Sec-WebSocket-Version", in: bytes) == 1,
            let version = head.value(of: "Sec-WebSocket-Version", in: bytes),
            bytes.equals(version, "13")
        else { throw .unsupportedVersion }
        let key = try checkKey(head, bytes)
        return WebSocketHandshake(
            deflate: deflate.flatMap { PerMessageDeflate.negotiate(head, bytes, $0) },
            accept: acceptKey(bytes, key, sha1))
    }

    /// Writes the 101 response. `extra` may add headers (a cookie, a request id).
    public func respond(
        into writer: inout ByteWriter, extra: (inout ByteWriter) -> Void = { _ in }
    ) {
        writer.append("HTTP/1.1 101 Switching Protocols\r\n")
        writer.append("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
        unsafe writer.append(accept.span.bytes)
        writer.append("\r\n")
        if let deflate {
            writer.append("Sec-WebSocket-Extensions: ")
            deflate.write(into: &writer)
            writer.append("\r\n")
        }
        extra(&writer)
        writer.append("\r\n")
    }

    /// The whole answer to a request that was refused; the connection closes after it.
    public static func refuse(
        _ error: WebSocketHandshakeError, date: RawSpan, into writer: inout ByteWriter
    ) {
        var response = HTTPResponseWriter(keepsAlive: false)
        response.begin(error.status, into: &writer)
        response.date(date, into: &writer)
        if error.status == .upgradeRequired {
            writer.append("Upgrade: websocket\r\nConnection: Upgrade\r\n")
            writer.append("Sec-WebSocket-Version: 13\r\n")
        }
        if error == .methodIsNotGet { response.header("Allow", "GET", into: &writer) }
        response.header("Content-Type", "text/plain; charset=utf-8", into: &writer)
        response.end(.count(error.message.utf8CodeUnitCount + 1), into: &writer)
        writer.append(error.message)
        writer.append(.lineFeed)
    }

    /// A nonce of 16 bytes in Base64. It is used as sent, but checked, because a client that gets
    /// it wrong gets the rest wrong too.
    private static func checkKey(
        _ head: HTTPRequestHead, _ bytes: RawSpan
    ) throws(WebSocketHandshakeError) -> ByteRange {
        guard let key = head.value(of: "Sec-WebSocket-Key", in: bytes) else { throw .missingKey }
        guard head.occurrences(of: "Sec-WebSocket-Key", in: bytes) == 1, key.count == 24,
            bytes[key.end - 1] == UInt8(ascii: "="), bytes[key.end - 2] == UInt8(ascii: "="),
            Base64.isEncoded(bytes, key)
        else { throw .invalidKey }
        return key
    }

    private static func acceptKey(
        _ bytes: RawSpan, _ key: ByteRange, _ sha1: (RawSpan) -> [20 of UInt8]
    ) -> [28 of UInt8] {
        let unique: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        var text = [60 of UInt8](repeating: 0)
        for index in 0..<24 { text[index] = bytes[key.offset + index] }
        unique.withUTF8Buffer { buffer in
            for index in 0..<36 { unsafe text[24 + index] = buffer[index] }
        }
        let digest = unsafe sha1(text.span.bytes)
        var accept = [28 of UInt8](repeating: 0)
        var output = accept.mutableSpan
        unsafe Base64.encodeDigest(digest.span.bytes, into: &output)
        return accept
    }
}

/// Why an upgrade was refused.
public enum WebSocketHandshakeError: Error, Hashable, Sendable {
    /// There is no `Upgrade: websocket`.
    case notRequested
    case methodIsNotGet
    case needsHTTP11
    case missingConnection
    case hasBody
    /// Not version 13; the answer says so.
    case unsupportedVersion
    case missingKey
    case invalidKey

    public var status: HTTPStatus {
        switch self {
        case .notRequested, .unsupportedVersion: .upgradeRequired
        case .methodIsNotGet: .methodNotAllowed
        default: .badRequest
        }
    }

    public var message: StaticString {
        switch self {
        case .notRequested: "This address speaks WebSocket: send 'Upgrade: websocket'."
        case .methodIsNotGet: "A WebSocket is opened with GET."
        case .needsHTTP11: "A WebSocket is opened with HTTP/1.1."
        case .missingConnection: "The Connection header does not list 'Upgrade'."
        case .hasBody: "A WebSocket handshake has no body."
        case .unsupportedVersion: "The WebSocket version spoken here is 13."
        case .missingKey: "There is no Sec-WebSocket-Key header."
        case .invalidKey: "Sec-WebSocket-Key is not 16 bytes in Base64, given once."
        }
    }
}
