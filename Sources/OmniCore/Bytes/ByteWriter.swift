/// Appends bytes into a buffer of fixed capacity and says when something did not fit.
///
/// Nothing grows behind the owner's back: an append either fits entirely or changes nothing and
/// sets `hasOverflowed`, which stays set (later appends are refused too) until the owner clears
/// the writer, or rolls back to a `count` it remembers, grows, and writes again. So a whole
/// reply can be written without checking each step, and be judged once at its end.
@safe
public struct ByteWriter: ~Copyable {
    // Holds: allocated in `init`/`grow` and freed in `deinit` when `ownsMemory`; otherwise the
    // caller of `init(borrowing:)` promised that it outlives this writer.
    private var memory: UnsafeMutableRawBufferPointer
    private let ownsMemory: Bool
    /// Bytes written so far.
    public private(set) var count = 0
    /// An append did not fit since the last `clear` or `truncate`: what is here is incomplete.
    public private(set) var hasOverflowed = false

    public init(capacity: Int) {
        unsafe memory = .allocate(byteCount: capacity, alignment: 16)
        ownsMemory = true
    }

    /// Writes into memory of somebody else, who keeps it valid for the life of this writer.
    @unsafe
    public init(borrowing memory: UnsafeMutableRawBufferPointer) {
        unsafe self.memory = memory
        ownsMemory = false
    }

    deinit {
        if ownsMemory { unsafe memory.deallocate() }
    }

    public var capacity: Int { unsafe memory.count }
    public var remaining: Int { capacity - count }
    public var isEmpty: Bool { count == 0 }

    /// What was written, for callers that hand an address to the kernel. Valid until the next
    /// mutation of the writer.
    @unsafe
    public var unsafeBytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: memory[..<count])
    }

    @inlinable @inline(__always)
    public func withBytes<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe unsafeBytes.bytes)
    }

    /// For rewriting in place what was written.
    @inlinable @inline(__always)
    public mutating func withMutableBytes<Result, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var span = unsafe UnsafeMutableRawBufferPointer(mutating: unsafeBytes).mutableBytes
        return try body(&span)
    }

    /// A copy of what was written.
    public func array() -> [UInt8] { unsafe [UInt8](unsafeBytes) }

    /// What was written as text; malformed UTF-8 is replaced.
    public func string() -> String { unsafe String(decoding: unsafeBytes, as: UTF8.self) }

    // MARK: Appending

    public mutating func append(_ byte: UInt8) {
        guard reserve(1) else { return }
        unsafe memory[count] = byte
        count += 1
    }

    public mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { bytes in unsafe append(UnsafeRawBufferPointer(bytes)) }
    }

    public mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { bytes in unsafe append(UnsafeRawBufferPointer(bytes)) }
    }

    public mutating func append(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { bytes in unsafe append(bytes) }
    }

    public mutating func append(_ bytes: RawSpan, _ range: ByteRange) {
        append(bytes.extracting(range.range))
    }

    public mutating func append(_ bytes: [UInt8]) {
        unsafe append(bytes.span.bytes)
    }

    @unsafe
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard reserve(bytes.count) else { return }
        guard let source = bytes.baseAddress, let base = unsafe memory.baseAddress else {
            return
        }
        unsafe (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    public mutating func append(repeating byte: UInt8, count repetitions: Int) {
        guard reserve(repetitions), let base = unsafe memory.baseAddress else { return }
        unsafe (base + count).initializeMemory(as: UInt8.self, repeating: byte, count: repetitions)
        count += repetitions
    }

    /// The number in decimal digits.
    public mutating func append(decimal value: Int) {
        if value < 0 { append(UInt8(ascii: "-")) }
        append(decimal: UInt64(value.magnitude))
    }

    /// The number in decimal digits.
    public mutating func append(decimal value: UInt64) {
        var digitCount = 1
        var limit: UInt64 = 10
        while value >= limit {
            digitCount += 1
            let (next, overflow) = limit.multipliedReportingOverflow(by: 10)
            if overflow { break }
            limit = next
        }
        guard reserve(digitCount) else { return }
        var rest = value
        for offset in stride(from: count + digitCount - 1, through: count, by: -1) {
            unsafe memory[offset] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        count += digitCount
    }

    // MARK: The owner's verbs

    public mutating func clear() { truncate(to: 0) }

    /// Rolls back to an earlier `count` and forgets an overflow.
    public mutating func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count, "a writer is truncated, never extended")
        self.count = count
        hasOverflowed = false
    }

    /// Drops the first `bytes` and moves the rest to the front: for a writer used as a queue.
    public mutating func removeFirst(_ bytes: Int) {
        precondition(bytes >= 0 && bytes <= count, "more removed than was written")
        guard bytes > 0, let base = unsafe memory.baseAddress else { return }
        unsafe base.copyMemory(from: base + bytes, byteCount: count - bytes)
        count -= bytes
    }

    /// Moves to a buffer of `capacity` bytes; what was written stays, an overflow stays noted.
    /// Only for a writer that owns its memory.
    public mutating func grow(to capacity: Int) {
        precondition(ownsMemory, "a borrowed buffer cannot grow")
        guard capacity > self.capacity else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16)
        unsafe larger.copyMemory(from: unsafeBytes)
        unsafe memory.deallocate()
        unsafe memory = larger
    }

    /// Takes back what a failed decoder appended; an overflow stays noted.
    mutating func takeBack(to count: Int) { self.count = min(count, self.count) }

    /// Whether `bytes` more fit; if not, that counts as an append that did not. For what is
    /// written in several appends and must not be cut.
    public mutating func makesRoom(for bytes: Int) -> Bool { reserve(bytes) }

    private mutating func reserve(_ bytes: Int) -> Bool {
        guard !hasOverflowed, bytes <= remaining else {
            hasOverflowed = true
            return false
        }
        return true
    }
}
