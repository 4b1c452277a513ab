/// Offset and count into the caller's buffer: what parsers return instead of copies.
///
/// Eight bytes, so that tables of ranges stay small; a buffer of 4 GiB or more traps.
public struct ByteRange: Hashable, Sendable {
    private let start: UInt32
    private let length: UInt32

    public init(offset: Int, count: Int) {
        start = UInt32(offset)
        length = UInt32(count)
    }

    /// From `lower` up to and without `upper`.
    public init(from lower: Int, to upper: Int) {
        self.init(offset: lower, count: upper - lower)
    }

    public static let empty = ByteRange(offset: 0, count: 0)

    public var offset: Int { Int(start) }
    public var count: Int { Int(length) }
    public var end: Int { Int(start) + Int(length) }
    public var isEmpty: Bool { length == 0 }
    public var range: Range<Int> { offset..<end }

    /// The same bytes after the buffer grew by `distance` at its front (negative: shrank).
    public func moved(by distance: Int) -> ByteRange {
        ByteRange(offset: offset + distance, count: count)
    }
}
