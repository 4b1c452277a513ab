/// The parameters of a query, `name=value&…`, found in place.
public struct HTTPQuery: Sendable {
    private let range: ByteRange

    public init(_ range: ByteRange) { self.range = range }

    public struct Parameter: Hashable, Sendable {
        /// Both still encoded; `value` is empty if there is no "=".
        public let name: ByteRange
        public let value: ByteRange
    }

    /// The parameter that begins at or after `position`; start with `start`. Nil at the end.
    public func next(_ bytes: RawSpan, position: inout Int) -> Parameter? {
        while position < range.end {
            let end =
                bytes.firstOffset(of: UInt8(ascii: "&"), from: position, to: range.end)
                ?? range.end
            let start = position
            position = end + 1
            if end == start { continue }
            let equals = bytes.firstOffset(of: UInt8(ascii: "="), from: start, to: end)
            return Parameter(
                name: ByteRange(from: start, to: equals ?? end),
                value: ByteRange(from: equals.map { $0 + 1 } ?? end, to: end))
        }
        return nil
    }

    /// Where `next` begins.
    public var start: Int { range.offset }

    /// The value of the first parameter called `name`, still encoded (`PercentEncoding`).
    public func value(of name: StaticString, in bytes: RawSpan) -> ByteRange? {
        var position = start
        while let parameter = next(bytes, position: &position) {
            if PercentEncoding.equals(bytes, parameter.name, as: .query, name) {
                return parameter.value
            }
        }
        return nil
    }
}
