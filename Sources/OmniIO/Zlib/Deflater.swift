internal import CShims.Zlib

/// Compresses whole messages, each by itself: one is enough for all connections of a ring.
///
/// `@safe`: the stream is private, set up in `init`, released in `deinit`; input and output are only
/// pointed to during a call.
@safe
public final class Deflater {
    private let stream: UnsafeMutablePointer<z_stream>
    /// ENOMEM; the C library's module is not imported for one number.
    private static let noMemory: Int32 = 12

    /// `windowBits` 9…15. Takes about 256 KB at 15 bits, or throws ENOMEM.
    public init(windowBits: Int, level: Int32 = 3) throws(SystemError) {
        precondition((9...15).contains(windowBits), "a deflate window has 9 to 15 bits")
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe deflateInit2_(
            stream, level, Z_DEFLATED, -Int32(windowBits), 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            unsafe stream.deallocate()
            throw SystemError("deflateInit2", Self.noMemory)
        }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// A message as RFC 7692 sends it: ended by a flush whose last four bytes are left away. The
    /// number of bytes written; nil when they do not fit.
    public func message(_ input: RawSpan, into output: UnsafeMutableRawBufferPointer) -> Int? {
        unsafe deflateReset(stream)
        let status = unsafe input.withUnsafeBytes { bytes in
            unsafe stream.pointee.next_in = UnsafeMutablePointer(
                mutating: bytes.bindMemory(to: UInt8.self).baseAddress)
            unsafe stream.pointee.avail_in = UInt32(bytes.count)
            unsafe stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
            unsafe stream.pointee.avail_out = UInt32(output.count)
            return unsafe deflate(stream, Z_SYNC_FLUSH)
        }
        let left = unsafe Int(stream.pointee.avail_out)
        let count = output.count - left - 4
        // With room left the flush was complete; without, its end may be missing.
        guard status == Z_OK, left > 0, count >= 0 else { return nil }
        return count
    }

    /// Room that a message of `count` bytes never exceeds, its flush included.
    public static func room(for count: Int) -> Int { count + count >> 8 + 64 }
}
