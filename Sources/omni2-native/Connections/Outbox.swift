import OmniCore

/// What one connection still has to send: bytes being gathered, and bytes the kernel is sending.
///
/// The second must not move until the send completes, hence two buffers. An idle connection holds
/// neither: they are lent by `SendBuffers`.
struct Outbox {
    private var gathering: SendBuffers.Buffer?
    private var flying: SendBuffers.Buffer?

    init() {}

    var isEmpty: Bool { gathering == nil && flying == nil }
    var hasFlight: Bool { flying != nil }

    /// Bytes not yet taken by the kernel.
    var byteCount: Int {
        (gathering?.count ?? 0) + (flying.map { $0.count - $0.sentBytes } ?? 0)
    }

    /// A copy of what the kernel has not taken. Only while no send is under way.
    var unsent: [UInt8] {
        var bytes: [UInt8] = []
        if let flying { unsafe bytes += flying.writer.unsafeBytes[flying.sentBytes...] }
        if let gathering { bytes += gathering.writer.array() }
        return bytes
    }

    /// `write` appends at most `count` bytes.
    mutating func append(
        reserving count: Int, from buffers: SendBuffers, _ write: (inout ByteWriter) -> Void
    ) {
        let buffer = gathering ?? buffers.take(count)
        gathering = buffer
        buffer.append(reserving: count, write)
    }

    /// Puts `bytes` before everything that was gathered. Only while nothing is in flight.
    mutating func prepend(_ bytes: RawSpan, from buffers: SendBuffers) {
        precondition(flying == nil, "what is in flight cannot be overtaken")
        let later = gathering
        gathering = nil
        append(reserving: bytes.byteCount, from: buffers) { $0.append(bytes) }
        guard let later else { return }
        append(reserving: later.count, from: buffers) { writer in
            later.writer.withBytes { writer.append($0) }
        }
        buffers.giveBack(later)
    }

    /// What to send now; nil while a send is in flight or when there is nothing.
    @unsafe
    mutating func takeOff() -> UnsafeRawBufferPointer? {
        guard flying == nil, let buffer = gathering else { return nil }
        gathering = nil
        flying = buffer
        return unsafe buffer.writer.unsafeBytes
    }

    /// The kernel took `count` bytes: what remains of this flight, nil when it is over.
    @unsafe
    mutating func landed(_ count: Int, to buffers: SendBuffers) -> UnsafeRawBufferPointer? {
        guard let buffer = flying else { return nil }
        buffer.sentBytes += count
        if buffer.sentBytes < buffer.count {
            return unsafe UnsafeRawBufferPointer(
                rebasing: buffer.writer.unsafeBytes[buffer.sentBytes...])
        }
        flying = nil
        buffers.giveBack(buffer)
        return nil
    }
}
