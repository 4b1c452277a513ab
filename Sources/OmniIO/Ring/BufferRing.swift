internal import CShims.Uring

/// Receive buffers lent to the kernel: it picks one per arrival, we give it back after parsing.
///
/// All idle connections share them, so a waiting peer costs no user memory. `@safe`: the pointers
/// are private, live from `init` to `deinit`, and identifiers come from the kernel's completions.
@safe
struct BufferRing: ~Copyable {
    let bytesEach: Int
    private let count: Int
    private let memory: UnsafeMutableRawPointer
    private let shared: UnsafeMutablePointer<io_uring_buf_ring>

    /// `count` is a power of two.
    init(on ring: borrowing Ring, count: Int, bytesEach: Int) throws(SystemError) {
        precondition(count.nonzeroBitCount == 1, "the kernel takes powers of two")
        self.count = count
        self.bytesEach = bytesEach
        unsafe shared = try ring.register(UInt32(count))
        unsafe memory = .allocate(byteCount: count * bytesEach, alignment: 4096)
        for index in 0..<count { stage(UInt16(index), offset: index) }
        unsafe io_uring_buf_ring_advance(shared, Int32(count))
    }

    deinit { unsafe memory.deallocate() }

    func bytes(_ identifier: UInt16, count: Int) -> UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(
            start: memory + Int(identifier) * bytesEach, count: min(count, bytesEach))
    }

    func giveBack(_ identifier: UInt16) {
        stage(identifier, offset: 0)
        unsafe io_uring_buf_ring_advance(shared, 1)
    }

    private func stage(_ identifier: UInt16, offset: Int) {
        unsafe omni2_uring_return_buffer(
            shared, memory + Int(identifier) * bytesEach, UInt32(bytesEach), identifier,
            UInt32(count - 1), Int32(offset))
    }
}
