import OmniCore

/// What one connection still has to send: bytes being gathered, and bytes the kernel is sending.
///
/// The second must not move until the send completes, hence two buffers. An idle connection holds
/// neither.
struct Outbox: ~Copyable {
    private var gathering: ByteWriter?
    private var flying: ByteWriter?
    private var sentBytes = 0
    private var gatheredBytes = 0
    private var flyingBytes = 0

    init() {}

    var isEmpty: Bool { gathering == nil && flying == nil }
    var hasFlight: Bool { flying != nil }

    /// Bytes not yet taken by the kernel.
    var byteCount: Int {
        gatheredBytes + flyingBytes - sentBytes
    }

    mutating func append(_ bytes: RawSpan) {
        append(reserving: bytes.byteCount) { $0.append(bytes) }
    }

    /// `write` appends at most `count` bytes.
    mutating func append(reserving count: Int, _ write: (inout ByteWriter) -> Void) {
        var writer = gathering.take() ?? ByteWriter(capacity: max(1024, count))
        if writer.remaining < count {
            writer.grow(to: max(writer.capacity * 2, writer.count + count))
        }
        write(&writer)
        precondition(!writer.hasOverflowed, "more was written than reserved")
        gatheredBytes = writer.count
        gathering = consume writer
    }

    /// What to send now; nil while a send is in flight or when there is nothing.
    @unsafe
    mutating func takeOff() -> UnsafeRawBufferPointer? {
        guard flying == nil, let writer = gathering.take() else { return nil }
        let bytes = unsafe writer.unsafeBytes
        flying = consume writer
        flyingBytes = gatheredBytes
        gatheredBytes = 0
        sentBytes = 0
        return unsafe bytes
    }

    /// The kernel took `count` bytes: what remains of this flight, nil when it is over.
    @unsafe
    mutating func landed(_ count: Int) -> UnsafeRawBufferPointer? {
        sentBytes += count
        guard let bytes = unsafe flying?.unsafeBytes else { return nil }
        if sentBytes < bytes.count {
            return unsafe UnsafeRawBufferPointer(rebasing: bytes[sentBytes...])
        }
        flying = nil
        flyingBytes = 0
        sentBytes = 0
        return nil
    }
}
