import OmniCore

/// Buffers in which connections gather what they send: lent for as long as bytes wait in them, then
/// taken back, so that answering a frame allocates nothing and an idle connection holds nothing.
final class SendBuffers {
    final class Buffer {
        fileprivate(set) var writer: ByteWriter
        /// What of it the kernel has taken.
        var sentBytes = 0

        fileprivate init(capacity: Int) { writer = ByteWriter(capacity: capacity) }

        var count: Int { writer.count }

        /// `write` appends at most `count` bytes.
        func append(reserving count: Int, _ write: (inout ByteWriter) -> Void) {
            if writer.remaining < count {
                writer.grow(to: max(writer.capacity * 2, writer.count + count))
            }
            write(&writer)
            precondition(!writer.hasOverflowed, "more was written than reserved")
        }
    }

    private static let bytesEach = 1024
    /// A buffer that grew beyond this is let go.
    private static let keptBytesMax = 4096
    /// More than these at a time are made and let go as they are needed.
    private let spareMax: Int
    private var spare: [Buffer] = []

    init(spareMax: Int = 256) {
        self.spareMax = spareMax
        spare.reserveCapacity(spareMax)
    }

    func take(_ count: Int) -> Buffer {
        if count <= Self.bytesEach, let buffer = spare.popLast() { return buffer }
        return Buffer(capacity: max(Self.bytesEach, count))
    }

    func giveBack(_ buffer: Buffer) {
        guard spare.count < spareMax, buffer.writer.capacity <= Self.keptBytesMax else { return }
        buffer.writer.clear()
        buffer.sentBytes = 0
        spare.append(buffer)
    }
}
