/// Reads a complete request head: the second pass of `HTTPRequestParser`, which has found the
/// lines and checked that each ends in CRLF.
///
/// Strict where leniency lets two programs read one request differently (RFC 9112 §11.2): one
/// space between the parts of the request line, no white space before a colon, no folded lines,
/// one Host, and either one transfer coding or one length.
enum HTTPHeadParser {
    /// Reads the head that lies in `start..<end`, the empty line included.
    static func parse(
        _ bytes: RawSpan, from start: Int, to end: Int, limits: HTTPLimits,
        into head: inout HTTPRequestHead
    ) throws(HTTPError) {
        head.reset()
        head.byteCount = end
        var lineStart = start
        var framing = Framing()
        var isRequestLine = true
        while let feed = bytes.firstOffset(of: .lineFeed, from: lineStart, to: end) {
            let line = ByteRange(from: lineStart, to: feed - 1)
            lineStart = feed + 1
            if isRequestLine {
                try parseRequestLine(bytes, line, into: &head)
                isRequestLine = false
            } else if !line.isEmpty {
                let header = try parseHeader(bytes, line)
                head.add(header)
                try note(header, bytes, &head, &framing)
            }
        }
        try finish(bytes, framing, limits, &head)
    }

    // MARK: Request line

    private static func parseRequestLine(
        _ bytes: RawSpan, _ line: ByteRange, into head: inout HTTPRequestHead
    ) throws(HTTPError) {
        guard let first = bytes.firstOffset(of: .space, from: line.offset, to: line.end),
            first > line.offset,
            let second = bytes.firstOffset(of: .space, from: first + 1, to: line.end),
            second > first + 1
        else { throw .malformedRequestLine }
        head.methodName = ByteRange(from: line.offset, to: first)
        for offset in head.methodName.range where !bytes[offset].isTokenCharacter {
            throw .invalidMethod
        }
        head.version = try parseVersion(bytes, ByteRange(from: second + 1, to: line.end))
        if bytes.equals(head.methodName, "CONNECT") { throw .connectNotSupported }
        head.method = method(bytes, head.methodName)
        head.target = ByteRange(from: first + 1, to: second)
        try HTTPTarget.parse(bytes, into: &head)
    }

    private static func parseVersion(
        _ bytes: RawSpan, _ range: ByteRange
    ) throws(HTTPError) -> HTTPVersion {
        guard range.count == 8, bytes.equals(ByteRange(offset: range.offset, count: 5), "HTTP/"),
            bytes[range.offset + 5].isDigit, bytes[range.offset + 6] == UInt8(ascii: "."),
            bytes[range.offset + 7].isDigit
        else { throw .invalidVersion }
        guard bytes[range.offset + 5] == UInt8(ascii: "1") else { throw .unsupportedVersion }
        return bytes[range.offset + 7] == UInt8(ascii: "0") ? .http10 : .http11
    }

    private static func method(_ bytes: RawSpan, _ name: ByteRange) -> HTTPMethod {
        switch name.count {
        case 3: bytes.equals(name, "GET") ? .get : bytes.equals(name, "PUT") ? .put : .other
        case 4: bytes.equals(name, "POST") ? .post : bytes.equals(name, "HEAD") ? .head : .other
        case 5: bytes.equals(name, "PATCH") ? .patch : bytes.equals(name, "TRACE") ? .trace : .other
        case 6: bytes.equals(name, "DELETE") ? .delete : .other
        case 7: bytes.equals(name, "OPTIONS") ? .options : .other
        default: .other
        }
    }

    // MARK: One header line

    /// Also reads trailers, which are checked and then ignored.
    static func parseHeader(
        _ bytes: RawSpan, _ line: ByteRange
    ) throws(HTTPError) -> HTTPHeader {
        if bytes[line.offset].isBlank { throw .obsoleteLineFolding }
        var colon = line.offset
        while colon < line.end, bytes[colon].isTokenCharacter { colon += 1 }
        guard colon < line.end else { throw .missingColon }
        guard bytes[colon] == UInt8(ascii: ":") else {
            throw bytes[colon].isBlank ? .whitespaceBeforeColon : .invalidHeaderName
        }
        guard colon > line.offset else { throw .invalidHeaderName }
        let value = bytes.trimmingBlanks(ByteRange(from: colon + 1, to: line.end))
        guard isFieldText(bytes, value) else { throw .invalidHeaderValue }
        return HTTPHeader(name: ByteRange(from: line.offset, to: colon), value: value)
    }

    /// Whether a value has no control character but tab. CR among them: it would end a line for
    /// some other reader.
    static func isFieldText(_ bytes: RawSpan, _ range: ByteRange) -> Bool {
        var offset = range.offset
        let end = range.end
        let ones: UInt64 = 0x0101_0101_0101_0101
        while offset + 8 <= end {
            let word = bytes.word(at: offset)
            let below = (word &- ones &* 0x20) & ~word
            let delete = word ^ (ones &* 0x7F)
            let isDelete = (delete &- ones) & ~delete
            // May be wrong upwards of a control character, never about there being one.
            if (below | isDelete) & 0x8080_8080_8080_8080 != 0 { break }
            offset += 8
        }
        while offset < end {
            let byte = bytes[offset]
            if byte < 0x20 && byte != .tab || byte == 0x7F { return false }
            offset += 1
        }
        return true
    }

    // MARK: Headers that decide about the connection

    /// What was seen of the headers that delimit the request.
    private struct Framing {
        var hosts = 0
        var transferEncodings = 0
        var transferCoding = ByteRange.empty
        var contentLength: Int?
        var closes = false
        var asksToKeepAlive = false
        var expectation: ByteRange?
    }

    private static func note(
        _ header: HTTPHeader, _ bytes: RawSpan, _ head: inout HTTPRequestHead,
        _ framing: inout Framing
    ) throws(HTTPError) {
        switch header.name.count {
        case 4 where bytes.equalsIgnoringCase(header.name, "Host"):
            framing.hosts += 1
            guard framing.hosts == 1 else { throw .repeatedHost }
            guard HTTPTarget.isAuthority(bytes, header.value) else { throw .invalidHost }
            if head.authority.isEmpty { head.authority = header.value }
        case 6 where bytes.equalsIgnoringCase(header.name, "Expect"):
            framing.expectation = header.value
        case 10 where bytes.equalsIgnoringCase(header.name, "Connection"):
            if HTTPList.contains("close", bytes, header.value) { framing.closes = true }
            if HTTPList.contains("keep-alive", bytes, header.value) {
                framing.asksToKeepAlive = true
            }
        case 14 where bytes.equalsIgnoringCase(header.name, "Content-Length"):
            guard let length = bytes.decimal(header.value) else { throw .invalidContentLength }
            guard framing.contentLength == nil || framing.contentLength == length else {
                throw .conflictingContentLength
            }
            framing.contentLength = length
        case 17 where bytes.equalsIgnoringCase(header.name, "Transfer-Encoding"):
            framing.transferEncodings += 1
            framing.transferCoding = header.value
        default: break
        }
    }

    private static func finish(
        _ bytes: RawSpan, _ framing: Framing, _ limits: HTTPLimits, _ head: inout HTTPRequestHead
    ) throws(HTTPError) {
        if head.version == .http11, framing.hosts == 0 { throw .missingHost }
        head.keepsAlive =
            head.version == .http11
            ? !framing.closes : framing.asksToKeepAlive && !framing.closes
        if framing.transferEncodings > 0 {
            try checkTransferCoding(bytes, framing, head.version)
            head.body = .chunked
        } else if let length = framing.contentLength {
            guard length <= limits.bodyBytesMax else {
                throw .bodyTooLarge(limit: limits.bodyBytesMax)
            }
            head.body = .count(length)
        }
        // An expectation in HTTP/1.0 is ignored (RFC 9110 §10.1.1).
        if let expectation = framing.expectation, head.version == .http11 {
            guard bytes.equalsIgnoringCase(expectation, "100-continue") else {
                throw .unsupportedExpectation
            }
            head.expectsContinue = head.body != .count(0)
        }
    }

    private static func checkTransferCoding(
        _ bytes: RawSpan, _ framing: Framing, _ version: HTTPVersion
    ) throws(HTTPError) {
        if version == .http10 { throw .transferEncodingInHTTP10 }
        if framing.contentLength != nil { throw .contentLengthWithTransferEncoding }
        if framing.transferEncodings > 1 { throw .repeatedTransferEncoding }
        if bytes.equalsIgnoringCase(framing.transferCoding, "chunked") { return }
        var position = framing.transferCoding.offset
        var last = ByteRange.empty
        var chunkedCount = 0
        while let coding = HTTPList.next(bytes, framing.transferCoding, position: &position) {
            last = coding
            if bytes.equalsIgnoringCase(coding, "chunked") { chunkedCount += 1 }
        }
        guard chunkedCount == 1, bytes.equalsIgnoringCase(last, "chunked") else {
            throw .chunkedIsNotLast
        }
        throw .unsupportedTransferCoding
    }
}
