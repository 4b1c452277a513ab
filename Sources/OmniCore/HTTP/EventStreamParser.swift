/// Server-sent events in, from bytes cut anywhere: lines end in LF, CR or CRLF, a byte order mark
/// at the start is ignored, and so are comments and unknown fields.
///
/// An event is joined from its `data` lines, so it is gathered here, in buffers that grow up to
/// the limit and are used again for the next event; the caller need not keep any bytes. Used for
/// what upstream servers send; not on the hot path.
public struct EventStreamParser: ~Copyable {
    public enum Step: Hashable, Sendable {
        /// All bytes are consumed.
        case needMore
        /// An event is complete: see `withData`, `eventName`, `lastEventID`, valid until `next`.
        case event
        /// The server asks to wait so long before connecting again.
        case retry(milliseconds: Int)
    }

    public enum Failure: Error, Hashable, Sendable {
        /// One event is larger than the limit. Final: the position in the stream is lost.
        case eventTooLarge(limit: Int)
    }

    private let eventBytesMax: Int
    private var fields = EventStreamFields()
    /// The beginning of a line whose end has not come yet.
    private var line = ByteWriter(capacity: 0)
    /// Bytes of the lines that belong to the current event so far.
    private var eventBytes = 0
    /// The last byte was CR: an LF next belongs to it.
    private var isAfterReturn = false
    private var isFirstLine = true
    private var hasFailed = false

    /// `eventBytesMax` bounds all lines of one event together, and any single line.
    public init(eventBytesMax: Int = 4 << 20) {
        self.eventBytesMax = eventBytesMax
    }

    // MARK: The event given out last

    /// The data lines, joined by LF. May be empty.
    public func withData<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try fields.data.withBytes(body)
    }

    /// "message" unless the event says otherwise.
    public var eventName: String { fields.name.isEmpty ? "message" : fields.name.string() }

    /// The id to resume after; empty if there never was one.
    public var lastEventID: String { fields.lastIdentifier.string() }

    // MARK: Reading

    /// Reads on from `position` up to the next thing to tell.
    public mutating func next(
        in bytes: RawSpan, position: inout Int
    ) throws(Failure) -> Step {
        if hasFailed { throw .eventTooLarge(limit: eventBytesMax) }
        fields.forgetGivenEvent()
        while position < bytes.byteCount {
            if isAfterReturn {
                isAfterReturn = false
                if bytes[position] == .lineFeed {
                    position += 1
                    continue
                }
            }
            let end = Self.lineEnd(bytes, from: position)
            let piece = ByteRange(from: position, to: end)
            guard eventBytes + line.count + piece.count <= eventBytesMax else {
                hasFailed = true
                throw .eventTooLarge(limit: eventBytesMax)
            }
            guard end < bytes.byteCount else {
                line.appendGrowing(bytes, piece)
                position = end
                break
            }
            isAfterReturn = bytes[end] == .carriageReturn
            position = end + 1
            if let step = takeLine(bytes, piece) { return step }
        }
        return .needMore
    }

    /// Takes a line that ends with `piece` and may have begun in `line`.
    private mutating func takeLine(_ bytes: RawSpan, _ piece: ByteRange) -> Step? {
        let isFirst = isFirstLine
        isFirstLine = false
        let outcome: EventStreamFields.Outcome
        let count: Int
        if line.isEmpty {
            count = piece.count
            outcome = fields.take(bytes, piece, isFirst: isFirst)
        } else {
            line.appendGrowing(bytes, piece)
            count = line.count
            outcome = Self.take(line, isFirst: isFirst, into: &fields)
            line.clear()
        }
        switch outcome {
        case .ignored:
            return nil
        case .noted:
            eventBytes += count
            return nil
        case .retry(let milliseconds):
            return .retry(milliseconds: milliseconds)
        case .ended(let hasEvent):
            eventBytes = 0
            return hasEvent ? .event : nil
        }
    }

    private static func take(
        _ line: borrowing ByteWriter, isFirst: Bool, into fields: inout EventStreamFields
    ) -> EventStreamFields.Outcome {
        line.withBytes { bytes in
            fields.take(bytes, ByteRange(offset: 0, count: bytes.byteCount), isFirst: isFirst)
        }
    }

    private static func lineEnd(_ bytes: RawSpan, from start: Int) -> Int {
        let count = bytes.byteCount
        let feed = bytes.firstOffset(of: .lineFeed, from: start, to: count) ?? count
        return bytes.firstOffset(of: .carriageReturn, from: start, to: feed) ?? feed
    }
}

/// The fields of the event being read, by the processing rules of the HTML standard.
struct EventStreamFields: ~Copyable {
    enum Outcome {
        /// A comment or an unknown field.
        case ignored
        /// Part of the event now.
        case noted
        case retry(milliseconds: Int)
        /// The empty line. Without data there is no event.
        case ended(hasEvent: Bool)
    }

    private(set) var data = ByteWriter(capacity: 0)
    private(set) var name = ByteWriter(capacity: 0)
    private(set) var lastIdentifier = ByteWriter(capacity: 0)
    /// Becomes the last one when the event ends.
    private var identifier = ByteWriter(capacity: 0)
    private var hasData = false
    private var hasEnded = false

    mutating func forgetGivenEvent() {
        guard hasEnded else { return }
        hasEnded = false
        hasData = false
        data.clear()
        name.clear()
    }

    mutating func take(_ bytes: RawSpan, _ line: ByteRange, isFirst: Bool) -> Outcome {
        forgetGivenEvent()
        var line = line
        if isFirst, line.count >= 3,
            bytes.equals(ByteRange(offset: line.offset, count: 3), "\u{FEFF}")
        {
            line = ByteRange(from: line.offset + 3, to: line.end)
        }
        if line.isEmpty { return end() }
        let colon = bytes.firstOffset(of: UInt8(ascii: ":"), from: line.offset, to: line.end)
        if colon == line.offset { return .ignored }
        let field = ByteRange(from: line.offset, to: colon ?? line.end)
        var value = ByteRange(from: colon.map { $0 + 1 } ?? line.end, to: line.end)
        if !value.isEmpty, bytes[value.offset] == .space {
            value = ByteRange(from: value.offset + 1, to: value.end)
        }
        return take(bytes, field, value)
    }

    private mutating func take(
        _ bytes: RawSpan, _ field: ByteRange, _ value: ByteRange
    ) -> Outcome {
        if bytes.equals(field, "data") {
            if hasData { data.appendGrowing(.lineFeed) }
            data.appendGrowing(bytes, value)
            hasData = true
            return .noted
        }
        if bytes.equals(field, "event") {
            name.clear()
            name.appendGrowing(bytes, value)
            return .noted
        }
        if bytes.equals(field, "id") {
            guard bytes.firstOffset(of: 0, from: value.offset, to: value.end) == nil else {
                return .ignored
            }
            identifier.clear()
            identifier.appendGrowing(bytes, value)
            return .noted
        }
        if bytes.equals(field, "retry"), let milliseconds = bytes.decimal(value) {
            return .retry(milliseconds: milliseconds)
        }
        return .ignored
    }

    private mutating func end() -> Outcome {
        Self.copy(identifier, to: &lastIdentifier)
        hasEnded = true
        return .ended(hasEvent: hasData)
    }

    private static func copy(_ source: borrowing ByteWriter, to target: inout ByteWriter) {
        target.clear()
        source.withBytes { bytes in
            target.appendGrowing(bytes, ByteRange(offset: 0, count: bytes.byteCount))
        }
    }
}

extension ByteWriter {
    /// For buffers whose bound is checked before: doubles the capacity as needed.
    fileprivate mutating func appendGrowing(_ bytes: RawSpan, _ range: ByteRange) {
        if range.count > remaining { grow(to: max(64, 2 * capacity, count + range.count)) }
        append(bytes, range)
    }

    fileprivate mutating func appendGrowing(_ byte: UInt8) {
        if remaining == 0 { grow(to: max(64, 2 * capacity)) }
        append(byte)
    }
}
