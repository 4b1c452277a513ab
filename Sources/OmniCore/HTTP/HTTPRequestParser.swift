/// Incremental HTTP/1.1 request reader (RFC 9112), without a buffer of its own.
///
/// The caller shows it, again and again, the bytes of the connection from the first byte of the
/// current request on, and it answers what they amount to. It remembers how far it has read, so
/// nothing is scanned twice, and ranges count from that first byte, so the caller may move the
/// bytes between calls. After `.complete`, drop `consumed` bytes from the front and `reset`; what
/// follows is the next request (pipelining). The verdict does not depend on how the bytes were cut.
public struct HTTPRequestParser: Sendable {
    public enum Step: Hashable, Sendable {
        /// Nothing more to say until more bytes are there. Keep those from `consumed` on, and
        /// those of ranges still in use; of an incomplete head, all.
        case needMore
        /// The head is complete and in `head`; the body follows.
        case head
        /// More of the body. With Content-Length all pieces are contiguous.
        case body(ByteRange)
        /// The request ends after `consumed` bytes.
        case complete
    }

    private enum State: Sendable {
        /// Looking for the end of the request line.
        case requestLine
        /// Looking for the empty line; `start` is where the header lines begin.
        case headers(requestStart: Int, start: Int)
        case body(remaining: Int)
        case chunkSize
        case chunkData(remaining: Int)
        /// The CRLF after the data of a chunk.
        case chunkEnd
        case trailers(bytes: Int)
        case complete
        case failed(HTTPError)
    }

    private var state = State.requestLine
    /// Where reading goes on, counted from the first byte of the request.
    private var position = 0
    /// No line feed lies between `position` and here.
    private var scanned = 0
    /// Lines of the part being read: empty ones before the request, then header lines.
    private var lineCount = 0
    private var bodyBytes = 0
    private var framingBytes = 0

    public init() {}

    /// Forgets the request, ready for the next one.
    public mutating func reset() { self = HTTPRequestParser() }

    /// Bytes at the front that are dealt with: none before the head is complete, because its
    /// ranges lie in them; after `.complete` the size of the request.
    public var consumed: Int {
        switch state {
        case .requestLine, .headers, .failed: 0
        default: position
        }
    }

    /// Nothing of a request has been read: the connection is idle between requests.
    public var isIdle: Bool {
        if case .requestLine = state { scanned == 0 } else { false }
    }

    /// The caller has removed the first `count` bytes, all of them consumed, so from now on ranges
    /// count from what is first then. Those of the head do not apply any more.
    public mutating func dropped(_ count: Int) {
        precondition(count >= 0 && count <= consumed, "dropped what was not consumed")
        position -= count
        scanned -= min(scanned, count)
    }

    /// The next step. An error is final: it is thrown again by every later call.
    public mutating func next(
        in bytes: RawSpan, limits: HTTPLimits, head: inout HTTPRequestHead
    ) throws(HTTPError) -> Step {
        do throws(HTTPError) {
            return try step(bytes, limits, &head)
        } catch {
            state = .failed(error)
            throw error
        }
    }

    private mutating func step(
        _ bytes: RawSpan, _ limits: HTTPLimits, _ head: inout HTTPRequestHead
    ) throws(HTTPError) -> Step {
        while true {
            switch state {
            case .requestLine:
                guard try findRequestLine(bytes, limits) else { return .needMore }
            case .headers(let requestStart, let start):
                guard try findHeadEnd(bytes, limits, start) else { return .needMore }
                try HTTPHeadParser.parse(
                    bytes, from: requestStart, to: position, limits: limits, into: &head)
                switch head.body {
                case .count(let count): state = .body(remaining: count)
                case .chunked: state = .chunkSize
                }
                return .head
            case .body(let remaining):
                guard remaining > 0 else { return end() }
                guard let piece = takePiece(bytes, remaining) else { return .needMore }
                state = .body(remaining: remaining - piece.count)
                return .body(piece)
            case .chunkSize:
                guard let size = try readChunkSize(bytes, limits) else { return .needMore }
                state = size == 0 ? .trailers(bytes: 0) : .chunkData(remaining: size)
            case .chunkData(let remaining):
                guard let piece = takePiece(bytes, remaining) else { return .needMore }
                let rest = remaining - piece.count
                state = rest == 0 ? .chunkEnd : .chunkData(remaining: rest)
                return .body(piece)
            case .chunkEnd:
                guard try readChunkEnd(bytes) else { return .needMore }
                state = .chunkSize
            case .trailers(let size):
                guard let line = try readTrailer(bytes, limits, size) else { return .needMore }
                if line.isEmpty { return end() }
                state = .trailers(bytes: size + line.count + 2)
            case .complete:
                return .complete
            case .failed(let error):
                throw error
            }
        }
    }

    private mutating func end() -> Step {
        state = .complete
        return .complete
    }

    // MARK: Head

    /// False while the request line is incomplete.
    private mutating func findRequestLine(
        _ bytes: RawSpan, _ limits: HTTPLimits
    ) throws(HTTPError) -> Bool {
        while true {
            let start = position
            // Something that is not HTTP at all, a TLS greeting for one, has no line end for long.
            if start < bytes.byteCount {
                let first = bytes[start]
                guard first.isTokenCharacter || first == .carriageReturn || first == .lineFeed
                else { throw first == .space ? .malformedRequestLine : .invalidMethod }
            }
            switch try takeLine(bytes, bytesMax: limits.requestLineBytesMax) {
            case .incomplete: return false
            case .tooLong: throw .requestLineTooLong(limit: limits.requestLineBytesMax)
            case .line(let line) where line.isEmpty:
                // A few old clients end a body with an extra line end (RFC 9112 §2.2).
                lineCount += 1
                guard lineCount <= Self.emptyLinesMax else { throw .malformedRequestLine }
            case .line:
                lineCount = 0
                state = .headers(requestStart: start, start: position)
                return true
            }
        }
    }

    /// False while the empty line that ends the head is not there.
    private mutating func findHeadEnd(
        _ bytes: RawSpan, _ limits: HTTPLimits, _ start: Int
    ) throws(HTTPError) -> Bool {
        while true {
            let room = limits.headerBytesMax - (position - start)
            switch try takeLine(bytes, bytesMax: room - 2) {
            case .incomplete: return false
            case .tooLong: throw .headersTooLarge(limit: limits.headerBytesMax)
            case .line(let line):
                if line.isEmpty { return true }
                lineCount += 1
                guard lineCount <= min(limits.headerCountMax, HTTPRequestHead.headersMax) else {
                    throw .tooManyHeaders(limit: limits.headerCountMax)
                }
            }
        }
    }

    // MARK: Body

    private mutating func takePiece(_ bytes: RawSpan, _ remaining: Int) -> ByteRange? {
        let count = min(remaining, bytes.byteCount - position)
        guard count > 0 else { return nil }
        defer { position += count }
        return ByteRange(offset: position, count: count)
    }

    /// Nil while the line is incomplete.
    private mutating func readChunkSize(
        _ bytes: RawSpan, _ limits: HTTPLimits
    ) throws(HTTPError) -> Int? {
        switch try takeLine(bytes, bytesMax: HTTPLimits.chunkLineBytesMax) {
        case .incomplete: return nil
        case .tooLong: throw .chunkLineTooLong(limit: HTTPLimits.chunkLineBytesMax)
        case .line(let line):
            let size = try Self.chunkSize(bytes, line)
            framingBytes += line.count + 4
            guard size <= limits.bodyBytesMax - bodyBytes,
                framingBytes <= limits.bodyBytesMax + HTTPLimits.chunkFramingAllowance
            else { throw .bodyTooLarge(limit: limits.bodyBytesMax) }
            bodyBytes += size
            return size
        }
    }

    private static func chunkSize(
        _ bytes: RawSpan, _ line: ByteRange
    ) throws(HTTPError) -> Int {
        var size = 0
        var offset = line.offset
        while offset < line.end, let digit = bytes[offset].hexValue {
            guard size >> (Int.bitWidth - 5) == 0 else { throw .invalidChunkSize }
            size = size << 4 | Int(digit)
            offset += 1
        }
        guard offset > line.offset else { throw .invalidChunkSize }
        guard offset < line.end else { return size }
        // Extensions are checked and ignored. Blanks may stand before their semicolon only.
        while offset < line.end, bytes[offset].isBlank { offset += 1 }
        guard offset < line.end, bytes[offset] == UInt8(ascii: ";") else {
            throw .invalidChunkSize
        }
        guard HTTPHeadParser.isFieldText(bytes, ByteRange(from: offset, to: line.end)) else {
            throw .invalidChunkExtension
        }
        return size
    }

    private mutating func readChunkEnd(_ bytes: RawSpan) throws(HTTPError) -> Bool {
        let available = bytes.byteCount - position
        if available > 0, bytes[position] != .carriageReturn { throw .missingChunkEnd }
        if available > 1, bytes[position + 1] != .lineFeed { throw .missingChunkEnd }
        guard available > 1 else { return false }
        position += 2
        return true
    }

    /// Nil while the line is incomplete; empty at the end of the body. Trailers are checked like
    /// headers and then ignored: nothing that decides about a request may come after it.
    private mutating func readTrailer(
        _ bytes: RawSpan, _ limits: HTTPLimits, _ size: Int
    ) throws(HTTPError) -> ByteRange? {
        switch try takeLine(bytes, bytesMax: limits.headerBytesMax - size - 2) {
        case .incomplete: return nil
        case .tooLong: throw .headersTooLarge(limit: limits.headerBytesMax)
        case .line(let line):
            if !line.isEmpty { _ = try HTTPHeadParser.parseHeader(bytes, line) }
            return line
        }
    }

    // MARK: Lines

    private enum Line {
        case incomplete
        case tooLong
        /// Without its CRLF.
        case line(ByteRange)
    }

    /// Empty lines tolerated before a request.
    private static let emptyLinesMax = 4

    /// Takes the next line. Whether it is too long depends on its bytes alone, not on how many of
    /// them are here yet.
    private mutating func takeLine(
        _ bytes: RawSpan, bytesMax: Int
    ) throws(HTTPError) -> Line {
        let start = position
        let end = bytes.byteCount
        guard
            let feed = bytes.firstOffset(of: .lineFeed, from: max(scanned, start), to: end)
        else {
            scanned = end
            return end - start > bytesMax + 1 ? .tooLong : .incomplete
        }
        guard feed - start <= bytesMax + 1 else { return .tooLong }
        guard feed > start, bytes[feed - 1] == .carriageReturn else { throw .bareLineFeed }
        position = feed + 1
        scanned = position
        return .line(ByteRange(from: start, to: feed - 1))
    }
}
