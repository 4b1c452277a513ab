/// Writes responses into a `ByteWriter`, in the order of the wire: `begin`, headers, `end`, body.
///
/// Two facts about the request decide how: its version (HTTP/1.0 knows no chunks) and whether it
/// was HEAD (a body is announced, not sent). What does not fit shows in the writer.
public struct HTTPResponseWriter: Sendable {
    public let version: HTTPVersion
    /// Whether the connection stays open afterwards; told to the client.
    public var keepsAlive: Bool
    /// The request was HEAD.
    public let omitsBody: Bool

    public init(version: HTTPVersion = .http11, keepsAlive: Bool, omitsBody: Bool = false) {
        self.version = version
        self.keepsAlive = keepsAlive
        self.omitsBody = omitsBody
    }

    /// For the answer to `head`.
    public init(answering head: borrowing HTTPRequestHead) {
        self.init(
            version: head.version, keepsAlive: head.keepsAlive, omitsBody: head.method == .head)
    }

    // MARK: Head

    public func begin(_ status: HTTPStatus, into writer: inout ByteWriter) {
        // Always 1.1: it is the version of the sender, not of the request (RFC 9110 §6.2).
        writer.append("HTTP/1.1 ")
        writer.append(decimal: UInt64(status.code))
        writer.append(.space)
        writer.append(status.phrase)
        writer.append("\r\n")
    }

    public func header(
        _ name: StaticString, _ value: StaticString, into writer: inout ByteWriter
    ) {
        writer.append(name)
        writer.append(": ")
        writer.append(value)
        writer.append("\r\n")
    }

    public func header(_ name: StaticString, _ value: Int, into writer: inout ByteWriter) {
        writer.append(name)
        writer.append(": ")
        writer.append(decimal: value)
        writer.append("\r\n")
    }

    /// Control characters in `value` become spaces, so that it cannot end its line.
    public func header(_ name: StaticString, _ value: RawSpan, into writer: inout ByteWriter) {
        writer.append(name)
        writer.append(": ")
        Self.appendFieldText(value, into: &writer)
        writer.append("\r\n")
    }

    /// Control characters in `value` become spaces, so that it cannot end its line.
    public func header(_ name: StaticString, _ value: String, into writer: inout ByteWriter) {
        writer.append(name)
        writer.append(": ")
        for byte in value.utf8 { writer.append(Self.fieldByte(byte)) }
        writer.append("\r\n")
    }

    /// `date` is an IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT"), made once a second by whoever
    /// has a clock.
    public func date(_ date: RawSpan, into writer: inout ByteWriter) {
        header("Date", date, into: &writer)
    }

    /// How the body is delimited.
    public enum Body: Hashable, Sendable {
        /// A status without body, or an upgrade: no framing header at all.
        case none
        /// Exactly so many bytes follow (or, after HEAD, would have).
        case count(Int)
        /// Chunks follow until `endChunks`. To an HTTP/1.0 client: bytes until the connection
        /// closes, so `keepsAlive` becomes false.
        case stream
    }

    /// Writes the framing headers and the empty line.
    public mutating func end(_ body: Body, into writer: inout ByteWriter) {
        switch body {
        case .none: break
        case .count(let count): header("Content-Length", count, into: &writer)
        case .stream where version == .http11:
            writer.append("Transfer-Encoding: chunked\r\n")
        case .stream: keepsAlive = false
        }
        if !keepsAlive {
            writer.append("Connection: close\r\n")
        } else if version == .http10 {
            writer.append("Connection: keep-alive\r\n")
        }
        writer.append("\r\n")
    }

    // MARK: Body

    /// One piece of a streamed body. An empty piece writes nothing: an empty chunk would end it.
    public func chunk(_ bytes: RawSpan, into writer: inout ByteWriter) {
        guard !omitsBody, bytes.byteCount > 0 else { return }
        beginChunk(count: bytes.byteCount, into: &writer)
        writer.append(bytes)
        endChunk(into: &writer)
    }

    /// The line before `count` bytes of chunk data that are sent from elsewhere.
    public func beginChunk(count: Int, into writer: inout ByteWriter) {
        precondition(count > 0, "an empty chunk would end the body")
        guard version == .http11, !omitsBody else { return }
        writer.append(hex: count)
        writer.append("\r\n")
    }

    /// What follows the data of each chunk.
    public func endChunk(into writer: inout ByteWriter) {
        guard version == .http11, !omitsBody else { return }
        writer.append("\r\n")
    }

    /// The end of a streamed body.
    public func endChunks(into writer: inout ByteWriter) {
        guard version == .http11, !omitsBody else { return }
        writer.append("0\r\n\r\n")
    }

    // MARK: Whole responses

    /// A complete response with a body that is at hand.
    public mutating func respond(
        _ status: HTTPStatus, contentType: StaticString, date: RawSpan, body: RawSpan,
        into writer: inout ByteWriter
    ) {
        begin(status, into: &writer)
        self.date(date, into: &writer)
        if status.forbidsBody {
            end(.none, into: &writer)
            return
        }
        header("Content-Type", contentType, into: &writer)
        end(.count(body.byteCount), into: &writer)
        if !omitsBody { writer.append(body) }
    }

    /// The answer to a request that could not be read; the connection closes after it.
    public static func refuse(
        _ error: HTTPError, date: RawSpan, into writer: inout ByteWriter
    ) {
        let message = error.message
        var response = HTTPResponseWriter(keepsAlive: false)
        response.begin(error.status, into: &writer)
        response.date(date, into: &writer)
        response.header("Content-Type", "text/plain; charset=utf-8", into: &writer)
        response.end(.count(message.utf8.count + 1), into: &writer)
        writer.append(message)
        writer.append(.lineFeed)
    }

    /// Invites the client to send the body it holds back.
    public static func continueRequest(into writer: inout ByteWriter) {
        writer.append("HTTP/1.1 100 Continue\r\n\r\n")
    }

    private static func appendFieldText(_ value: RawSpan, into writer: inout ByteWriter) {
        let whole = ByteRange(offset: 0, count: value.byteCount)
        if HTTPHeadParser.isFieldText(value, whole) {
            writer.append(value)
        } else {
            for offset in whole.range { writer.append(fieldByte(value[offset])) }
        }
    }

    private static func fieldByte(_ byte: UInt8) -> UInt8 {
        byte < 0x20 && byte != .tab || byte == 0x7F ? .space : byte
    }
}
