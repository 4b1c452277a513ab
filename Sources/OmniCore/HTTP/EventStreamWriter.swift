/// Server-sent events out (the event stream format of the HTML standard).
public enum EventStreamWriter {
    /// One event. `data` of several lines becomes several `data:` lines; a reader joins them
    /// again with LF, so CR and CRLF in it arrive as LF (JSON has neither). `id` and `event` must
    /// have no line end, and `id` no NUL: a precondition, because both come from our own code.
    public static func event(
        _ data: RawSpan, event name: StaticString? = nil, id: RawSpan? = nil,
        into writer: inout ByteWriter
    ) {
        if let name {
            writer.append("event: ")
            writer.append(name)
            writer.append(.lineFeed)
        }
        if let id { field("id: ", id, into: &writer) }
        lines("data: ", data, into: &writer)
        writer.append(.lineFeed)
    }

    /// An id alone: moves the reader's resumption point without an event.
    public static func id(_ id: RawSpan, into writer: inout ByteWriter) {
        field("id: ", id, into: &writer)
        writer.append(.lineFeed)
    }

    /// How long a reader waits before it connects again.
    public static func retry(milliseconds: Int, into writer: inout ByteWriter) {
        writer.append("retry: ")
        writer.append(decimal: milliseconds)
        writer.append("\n\n")
    }

    /// A comment, which readers ignore: keeps proxies from closing a quiet stream.
    public static func comment(_ text: StaticString = "", into writer: inout ByteWriter) {
        text.withUTF8Buffer { bytes in
            unsafe lines(": ", bytes.span.bytes, into: &writer)
        }
        writer.append(.lineFeed)
    }

    private static func field(
        _ name: StaticString, _ value: RawSpan, into writer: inout ByteWriter
    ) {
        for offset in 0..<value.byteCount {
            let byte = value[offset]
            precondition(
                byte != .lineFeed && byte != .carriageReturn && byte != 0,
                "an event id is one line without NUL")
        }
        writer.append(name)
        writer.append(value)
        writer.append(.lineFeed)
    }

    /// One line with `prefix` for each line of `text`, at least one.
    private static func lines(
        _ prefix: StaticString, _ text: RawSpan, into writer: inout ByteWriter
    ) {
        let count = text.byteCount
        var start = 0
        while true {
            let end = lineEnd(text, from: start)
            writer.append(prefix)
            writer.append(text, ByteRange(from: start, to: end))
            writer.append(.lineFeed)
            guard end < count else { return }
            let isPair =
                text[end] == .carriageReturn && end + 1 < count && text[end + 1] == .lineFeed
            start = end + (isPair ? 2 : 1)
        }
    }

    private static func lineEnd(_ text: RawSpan, from start: Int) -> Int {
        let count = text.byteCount
        let feed = text.firstOffset(of: .lineFeed, from: start, to: count) ?? count
        return text.firstOffset(of: .carriageReturn, from: start, to: feed) ?? feed
    }
}
