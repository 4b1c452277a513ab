import OmniCore
import Testing

@Suite("HTTP: requests")
struct HTTPRequestParserTests {
    /// Reads `text` in every cut and checks that all agree; the answer to the first.
    private func read(
        _ text: String, limits: HTTPLimits = HTTPLimits(), dropsEarly: Bool = false
    ) -> [HTTPTranscript.Entry] {
        let bytes = [UInt8](text.utf8)
        let whole = HTTPTranscript.read(bytes, cut: .whole, limits: limits)
        for cut in Cut.all {
            #expect(
                HTTPTranscript.read(bytes, cut: cut, limits: limits, dropsEarly: dropsEarly)
                    == whole, "\(cut)")
        }
        return whole
    }

    private func head(_ entries: [HTTPTranscript.Entry]) throws -> HeadSummary {
        guard case .head(let head) = try #require(entries.first) else {
            throw Unexpected(entries: entries)
        }
        return head
    }

    private struct Unexpected: Error { let entries: [HTTPTranscript.Entry] }

    // MARK: Good requests

    @Test func aPlainRequestIsReadWithAllItsParts() throws {
        let entries = read(
            "GET /api/v1/mcp?name=db&x=1 HTTP/1.1\r\nHost: omni2:8090\r\nAccept:  */* \t\r\n"
                + "X-Empty:\r\n\r\n")
        let head = try head(entries)
        #expect(head.method == .get)
        #expect(head.version == .http11)
        #expect(head.target == "/api/v1/mcp?name=db&x=1")
        #expect(head.path == "/api/v1/mcp")
        #expect(head.query == "name=db&x=1")
        #expect(head.authority == "omni2:8090")
        #expect(head.headers == ["Host=omni2:8090", "Accept=*/*", "X-Empty="])
        #expect(head.body == .count(0))
        #expect(head.keepsAlive)
        #expect(entries.last == .complete(bytes: head.byteCount))
    }

    @Test(arguments: [
        ("GET", HTTPMethod.get), ("HEAD", .head), ("POST", .post), ("PUT", .put),
        ("PATCH", .patch), ("DELETE", .delete), ("OPTIONS", .options), ("TRACE", .trace),
        ("get", .other), ("GETT", .other), ("QUERY", .other), ("M-SEARCH", .other),
    ])
    func methodsAreTokensInExactCase(name: String, method: HTTPMethod) throws {
        let head = try head(read("\(name) / HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(head.method == method)
        #expect(head.methodName == name)
    }

    @Test(arguments: [
        ("/", "/", "", "h"), ("/a?", "/a", "", "h"), ("/a?b?c", "/a", "b?c", "h"),
        ("//a//b", "//a//b", "", "h"), ("/%41", "/%41", "", "h"),
        ("http://other:81/p?q", "/p", "q", "other:81"), ("HTTPS://Other", "", "", "Other"),
        ("http://other?q", "", "q", "other"), ("http://[::1]:5/", "/", "", "[::1]:5"),
    ])
    func targetsAreSplit(target: String, path: String, query: String, authority: String) throws {
        let head = try head(read("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n"))
        #expect(head.path == path)
        #expect(head.query == query)
        #expect(head.authority == authority)
    }

    @Test func theAsteriskIsForOptionsOnly() throws {
        #expect(try head(read("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")).path == "*")
        #expect(read("GET * HTTP/1.1\r\nHost: h\r\n\r\n") == [.refused(.invalidTarget)])
    }

    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: foo, CLOSE ,bar\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true), ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false), ("HTTP/1.2", "", true),
    ])
    func keepAliveFollowsVersionAndConnection(version: String, line: String, keeps: Bool) throws {
        let head = try head(read("GET / \(version)\r\nHost: h\r\n\(line)\r\n"))
        #expect(head.keepsAlive == keeps)
    }

    @Test func oldClientsNeedNoHost() throws {
        let head = try head(read("GET / HTTP/1.0\r\n\r\n"))
        #expect(head.version == .http10)
        #expect(head.authority.isEmpty)
    }

    @Test func emptyLinesBeforeARequestAreSkipped() throws {
        let head = try head(read("\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"))
        #expect(head.path == "/a")
        let many = String(repeating: "\r\n", count: 5)
        #expect(read(many + "GET / HTTP/1.1\r\n\r\n") == [.refused(.malformedRequestLine)])
    }

    // MARK: Bodies

    @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20])
    func aBodyOfKnownLengthIsHandedOut(count: Int) {
        let body = String(repeating: "x", count: count)
        let text = "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: \(count)\r\n\r\n\(body)"
        let expected = HTTPTranscript.read([UInt8](text.utf8), cut: .whole)
        #expect(expected.count == (count == 0 ? 2 : 3))
        if count > 0 { #expect(expected[1] == .body([UInt8](body.utf8))) }
        #expect(expected.last == .complete(bytes: text.utf8.count))
        // Byte by byte is quadratic in the helper's copying, so only for the smaller ones.
        for cut in Cut.all where count <= 127 || cut != .byteByByte {
            #expect(
                HTTPTranscript.read([UInt8](text.utf8), cut: cut, dropsEarly: true) == expected)
        }
    }

    @Test func chunksAreJoinedAndTrailersIgnored() {
        let entries = read(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
                + "5\r\nhello\r\n6 ;a=\"b;c\";d\r\n world\r\n00A\r\n0123456789\r\n"
                + "0;last\r\nX-Sum: 1\r\nHost: evil\r\n\r\n", dropsEarly: true)
        #expect(entries.count == 3)
        #expect(entries[1] == .body([UInt8]("hello world0123456789".utf8)))
    }

    @Test func anEmptyChunkedBodyIsNoBody() {
        let text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        #expect(read(text).last == .complete(bytes: text.utf8.count))
    }

    @Test func requestsFollowEachOtherOnOneConnection() {
        let first = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
        let second =
            "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n"
        let third = "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n"
        let entries = read(first + second + third)
        #expect(entries.count == 8)
        #expect(entries[1] == .body([UInt8]("hi".utf8)))
        #expect(entries[2] == .complete(bytes: first.utf8.count))
        #expect(entries[4] == .body([UInt8]("!".utf8)))
        #expect(entries[5] == .complete(bytes: second.utf8.count))
        #expect(entries[7] == .complete(bytes: third.utf8.count))
    }

    @Test(arguments: [
        ("Content-Length: 3\r\nExpect: 100-Continue\r\n", "HTTP/1.1", true),
        ("Expect: 100-continue\r\n", "HTTP/1.1", false),  // nothing to wait for
        ("Content-Length: 3\r\nExpect: 100-continue\r\n", "HTTP/1.0", false),
        ("Content-Length: 3\r\nExpect: nonsense\r\n", "HTTP/1.0", false),
    ])
    func aClientMayWaitBeforeItsBody(lines: String, version: String, expects: Bool) throws {
        let head = try head(read("POST / \(version)\r\nHost: h\r\n\(lines)\r\n"))
        #expect(head.expectsContinue == expects)
    }

    // MARK: Bad requests

    static let refused: [(String, HTTPError)] = [
        // The request line.
        ("GET /\r\n\r\n", .malformedRequestLine),
        ("GET\r\n\r\n", .malformedRequestLine),
        (" GET / HTTP/1.1\r\n\r\n", .malformedRequestLine),
        ("GET  / HTTP/1.1\r\n\r\n", .malformedRequestLine),
        ("GET / HTTP/1.1 \r\n\r\n", .invalidVersion),
        ("GET /a b HTTP/1.1\r\n\r\n", .invalidVersion),
        ("GET / http/1.1\r\n\r\n", .invalidVersion),
        ("GET / HTTP/1.10\r\n\r\n", .invalidVersion),
        ("GET / HTTP/1,1\r\n\r\n", .invalidVersion),
        ("GET / HTTP/2.0\r\n\r\n", .unsupportedVersion),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion),
        ("GET / HTTP/0.9\r\n\r\n", .unsupportedVersion),
        ("G\u{1}T / HTTP/1.1\r\n\r\n", .invalidMethod),
        ("GE(T / HTTP/1.1\r\n\r\n", .invalidMethod),
        ("\u{16}\u{3}\u{1}\u{2}", .invalidMethod),  // a TLS greeting
        ("\t", .invalidMethod),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", .connectNotSupported),
        ("GET path HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        ("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        ("GET /\u{7F} HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        ("GET /é HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        ("GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        ("GET /a\rb HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        ("GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        ("GET http://u@h/a HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        ("GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n", .invalidTarget),
        // Lines.
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n", .bareLineFeed),
        ("\nGET / HTTP/1.1\r\n\r\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", .invalidHeaderValue),
        // Header fields.
        ("GET / HTTP/1.1\r\nHost\r\n\r\n", .missingColon),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", .whitespaceBeforeColon),
        ("GET / HTTP/1.1\r\nHost\t: h\r\n\r\n", .whitespaceBeforeColon),
        ("GET / HTTP/1.1\r\n: h\r\n\r\n", .invalidHeaderName),
        ("GET / HTTP/1.1\r\nHo(st: h\r\n\r\n", .invalidHeaderName),
        ("GET / HTTP/1.1\r\nHöst: h\r\n\r\n", .invalidHeaderName),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", .obsoleteLineFolding),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n", .obsoleteLineFolding),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\u{0}b\r\n\r\n", .invalidHeaderValue),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nX: a long value with \u{7F} in it\r\n\r\n",
            .invalidHeaderValue
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nX: a long value with \u{1B} in it\r\n\r\n",
            .invalidHeaderValue
        ),
        ("GET / HTTP/1.1\r\n\r\n", .missingHost),
        ("GET http://h/ HTTP/1.1\r\n\r\n", .missingHost),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", .repeatedHost),
        ("GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n", .repeatedHost),
        ("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", .invalidHost),
        ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", .invalidHost),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .invalidHost),
        ("POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n", .unsupportedExpectation),
        // Framing.
        (length("-1"), .invalidContentLength), (length("+1"), .invalidContentLength),
        (length(""), .invalidContentLength), (length("1 2"), .invalidContentLength),
        (length("0x1"), .invalidContentLength), (length("5, 5"), .invalidContentLength),
        (length("99999999999999999999"), .invalidContentLength),
        (length("5\r\nContent-Length: 6"), .conflictingContentLength),
        (length("5\r\nTransfer-Encoding: chunked"), .contentLengthWithTransferEncoding),
        (coding("chunked\r\nContent-Length: 5"), .contentLengthWithTransferEncoding),
        (coding("chunked\r\nTransfer-Encoding: chunked"), .repeatedTransferEncoding),
        (coding("chunked, chunked"), .chunkedIsNotLast), (coding("gzip"), .chunkedIsNotLast),
        (coding("chunked, gzip"), .chunkedIsNotLast), (coding("identity"), .chunkedIsNotLast),
        (coding("xchunked"), .chunkedIsNotLast), (coding(""), .chunkedIsNotLast),
        (coding("\u{B}chunked"), .invalidHeaderValue),
        (coding("gzip, chunked"), .unsupportedTransferCoding),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            .transferEncodingInHTTP10
        ),
    ]

    private static func length(_ value: String) -> String {
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(value)\r\n\r\n"
    }

    private static func coding(_ value: String) -> String {
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \(value)\r\n\r\n"
    }

    @Test(arguments: refused)
    func whatIsAmbiguousIsRefusedBySayingWhy(text: String, error: HTTPError) {
        #expect(read(text) == [.refused(error)])
        #expect(!error.message.isEmpty)
    }

    @Test func theSameLengthTwiceIsOneLength() throws {
        #expect(try head(read(Self.length("5\r\nContent-Length: 5"))).body == .count(5))
    }

    private static let longExtension = "5;" + String(repeating: "x", count: 300)

    static let refusedChunks: [(String, HTTPError)] = [
        ("\r\n", .invalidChunkSize), ("g\r\n", .invalidChunkSize), ("-1\r\n", .invalidChunkSize),
        ("0x5\r\n", .invalidChunkSize), (" 5\r\n", .invalidChunkSize),
        ("5 \r\n", .invalidChunkSize), ("5 x\r\n", .invalidChunkSize),
        ("fffffffffffffffff\r\n", .invalidChunkSize), ("5\n", .bareLineFeed),
        ("5;a\rb\r\n", .invalidChunkExtension), ("5;\u{0}\r\n", .invalidChunkExtension),
        (longExtension, .chunkLineTooLong(limit: 256)),
        ("3\r\nabcd\r\n", .missingChunkEnd), ("3\r\nabc\rx", .missingChunkEnd),
        ("3\r\nabc\n", .missingChunkEnd), ("0\r\nX : y\r\n\r\n", .whitespaceBeforeColon),
        ("0\r\n folded\r\n\r\n", .obsoleteLineFolding), ("0\r\n\n", .bareLineFeed),
        ("fffffff\r\n", .bodyTooLarge(limit: 4 << 20)),
        ("400001\r\n", .bodyTooLarge(limit: 4 << 20)),
    ]

    @Test(arguments: refusedChunks)
    func brokenChunksAreRefused(chunks: String, error: HTTPError) {
        #expect(read(Self.coding("chunked") + chunks).last == .refused(error))
    }

    // MARK: Limits

    @Test func aRequestLineMayBeAsLongAsItsLimit() throws {
        let limits = HTTPLimits(requestLineBytesMax: 20)
        let fits = "GET /123456 HTTP/1.1"
        #expect(fits.utf8.count == 20)
        #expect(try head(read(fits + "\r\nHost: h\r\n\r\n", limits: limits)).path == "/123456")
        #expect(
            read("GET /1234567 HTTP/1.1\r\nHost: h\r\n\r\n", limits: limits)
                == [.refused(.requestLineTooLong(limit: 20))])
        // Said before the line ends.
        #expect(
            read("GET /1234567890123456789", limits: limits)
                == [.refused(.requestLineTooLong(limit: 20))])
    }

    @Test func headersMayTakeTheirLimit() throws {
        let limits = HTTPLimits(headerBytesMax: 20)
        let start = "GET / HTTP/1.1\r\n"
        let fits = "Host: h\r\nX: 1234\r\n\r\n"
        #expect(fits.utf8.count == 20)
        #expect(try head(read(start + fits, limits: limits)).headers.count == 2)
        for text in ["Host: h\r\nX: 12345\r\n\r\n", "Host: h\r\nX: 12345678901234567"] {
            #expect(
                read(start + text, limits: limits) == [.refused(.headersTooLarge(limit: 20))])
        }
    }

    @Test func headersAreCounted() throws {
        let lines = (0..<63).map { "X-\($0): v\r\n" }.joined()
        let start = "GET / HTTP/1.1\r\nHost: h\r\n"
        #expect(try head(read(start + lines + "\r\n")).headers.count == 64)
        #expect(
            read(start + lines + "Y: z\r\n\r\n") == [.refused(.tooManyHeaders(limit: 64))])
        #expect(
            read(start + "A: b\r\n\r\n", limits: HTTPLimits(headerCountMax: 1))
                == [.refused(.tooManyHeaders(limit: 1))])
    }

    @Test func bodiesAreLimited() throws {
        let limits = HTTPLimits(bodyBytesMax: 5)
        #expect(try head(read(Self.length("5"), limits: limits)).body == .count(5))
        #expect(
            read(Self.length("6"), limits: limits) == [.refused(.bodyTooLarge(limit: 5))])
        let chunks = Self.coding("chunked") + "3\r\nabc\r\n"
        #expect(
            read(chunks + "2\r\nde\r\n0\r\n\r\n", limits: limits)[1] == .body([UInt8]("abcde".utf8))
        )
        #expect(
            read(chunks + "3\r\ndef\r\n", limits: limits).last
                == .refused(.bodyTooLarge(limit: 5)))
    }

    @Test func framingThatDwarfsTheBodyIsRefused() {
        let limits = HTTPLimits(bodyBytesMax: 1 << 16)
        let chunk = "1;" + String(repeating: "e", count: 200) + "\r\nx\r\n"
        let text = Self.coding("chunked") + String(repeating: chunk, count: 1000)
        #expect(
            HTTPTranscript.read([UInt8](text.utf8), cut: .whole, limits: limits).last
                == .refused(.bodyTooLarge(limit: 1 << 16)))
    }

    @Test func trailersAreLimited() {
        let text = Self.coding("chunked") + "0\r\n" + String(repeating: "X: y\r\n", count: 10)
        #expect(
            read(text, limits: HTTPLimits(headerBytesMax: 50)).last
                == .refused(.headersTooLarge(limit: 50)))
    }

    @Test func nothingIsConsumedBeforeTheHeadIsComplete() throws {
        let start = [UInt8]("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n".utf8)
        let whole = start + [UInt8]("\r\nhel".utf8)
        var parser = HTTPRequestParser()
        var head = HTTPRequestHead()
        func next(_ bytes: [UInt8]) throws -> HTTPRequestParser.Step {
            try unsafe parser.next(in: bytes.span.bytes, limits: HTTPLimits(), head: &head)
        }
        #expect(parser.isIdle)
        #expect(try next(start) == .needMore)
        #expect(!parser.isIdle)
        #expect(parser.consumed == 0)
        #expect(try next(whole) == .head)
        #expect(parser.consumed == head.byteCount)
        #expect(try next(whole) == .body(ByteRange(offset: head.byteCount, count: 3)))
        #expect(parser.consumed == whole.count)
        parser.dropped(whole.count)
        #expect(try next([UInt8]("loGET".utf8)) == .body(ByteRange(offset: 0, count: 2)))
        #expect(try next([UInt8]("loGET".utf8)) == .complete)
        #expect(parser.consumed == 2)
    }

    @Test func anErrorIsFinal() {
        var parser = HTTPRequestParser()
        var head = HTTPRequestHead()
        let bad = [UInt8]("BAD\r\n\r\n".utf8)
        let good = [UInt8]("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8)
        for bytes in [bad, good] {
            #expect(throws: HTTPError.malformedRequestLine) {
                _ = try unsafe parser.next(
                    in: bytes.span.bytes, limits: HTTPLimits(), head: &head)
            }
        }
    }

    @Test(arguments: [
        (HTTPError.malformedRequestLine, UInt16(400)), (.requestLineTooLong(limit: 1), 414),
        (.headersTooLarge(limit: 1), 431), (.tooManyHeaders(limit: 1), 431),
        (.bodyTooLarge(limit: 1), 413), (.unsupportedExpectation, 417),
        (.unsupportedTransferCoding, 501), (.connectNotSupported, 501),
        (.unsupportedVersion, 505), (.contentLengthWithTransferEncoding, 400),
    ])
    func errorsKnowTheirStatus(error: HTTPError, code: UInt16) {
        #expect(error.status.code == code)
    }

    @Test func headersAreFoundInEitherCase() throws {
        let bytes = [UInt8](
            "GET / HTTP/1.1\r\nHOST: h\r\nmcp-session-id: 1\r\nMcp-Session-Id: 2\r\n\r\n".utf8)
        var parser = HTTPRequestParser()
        var head = HTTPRequestHead()
        let span = unsafe bytes.span.bytes
        #expect(try parser.next(in: span, limits: HTTPLimits(), head: &head) == .head)
        let value = head.value(of: "Mcp-Session-Id", in: span).map { span.string($0) }
        #expect(value == "1")
        #expect(head.occurrences(of: "MCP-SESSION-ID", in: span) == 2)
        #expect(head.value(of: "Origin", in: span) == nil)
        #expect(head.lists("2", in: "mcp-session-id", span) == true)
    }
}
