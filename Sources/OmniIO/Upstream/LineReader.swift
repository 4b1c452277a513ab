/// Cuts a byte stream into lines of bounded length.
///
/// The ends of lines (`\n`, `\r\n`) are not part of them, and empty lines are left out. A line over
/// the limit is reported once, by its first bytes; the rest of it is skipped.
struct LineReader {
    enum Item: Equatable {
        case line([UInt8])
        /// How the too long line began.
        case tooLong(prefix: [UInt8])
    }

    static let prefixBytes = 512

    private let lineBytesMax: Int
    private var partial: [UInt8] = []
    private var isSkipping = false

    init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

    /// Calls `body` for each line that `bytes` completes.
    mutating func received(_ bytes: UnsafeRawBufferPointer, _ body: (Item) -> Void) {
        var rest = unsafe bytes
        while let end = unsafe rest.firstIndex(of: UInt8(ascii: "\n")) {
            unsafe append(UnsafeRawBufferPointer(rebasing: rest[..<end]), body)
            finish(body)
            unsafe rest = unsafe UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
        }
        unsafe append(rest, body)
    }

    /// The stream ended: what is left was a line without an end.
    mutating func ended(_ body: (Item) -> Void) { finish(body) }

    private mutating func append(_ part: UnsafeRawBufferPointer, _ body: (Item) -> Void) {
        let count = part.count
        if isSkipping || count == 0 { return }
        guard partial.count + count <= lineBytesMax else {
            let missing = max(0, Self.prefixBytes - partial.count)
            unsafe partial.append(contentsOf: part.prefix(missing))
            isSkipping = true
            body(.tooLong(prefix: Array(partial.prefix(Self.prefixBytes))))
            partial = []
            return
        }
        unsafe partial.append(contentsOf: part)
    }

    private mutating func finish(_ body: (Item) -> Void) {
        defer { isSkipping = false }
        if isSkipping { return }
        if partial.last == UInt8(ascii: "\r") { partial.removeLast() }
        if partial.isEmpty { return }
        let line = partial
        partial = []
        body(.line(line))
    }
}
