internal import CShims.Zlib

/// Decompresses one message at a time, piece by piece.
///
/// `@safe`: as `Deflater`.
@safe
public final class Inflater {
    public enum Step: Hashable, Sendable {
        /// The output is full of that many bytes; there may be more.
        case more(Int)
        /// The input is used up; that many bytes came of it.
        case done(Int)
        /// Not what a deflater writes.
        case invalid
    }

    private let stream: UnsafeMutablePointer<z_stream>
    /// ENOMEM; the C library's module is not imported for one number.
    private static let noMemory: Int32 = 12

    /// Understands windows of any size. Takes about 48 KB, or throws ENOMEM.
    public init() throws(SystemError) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe inflateInit2_(
            stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            unsafe stream.deallocate()
            throw SystemError("inflateInit2", Self.noMemory)
        }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// A new message begins.
    public func begin() { unsafe inflateReset(stream) }

    /// Inflates `input` from `position` on, and moves that over what is used.
    public func inflate(
        _ input: RawSpan, position: inout Int, into output: UnsafeMutableRawBufferPointer
    ) -> Step {
        let rest = input.extracting(position..<input.byteCount)
        unsafe stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
        unsafe stream.pointee.avail_out = UInt32(output.count)
        let isValid = unsafe rest.withUnsafeBytes { bytes in
            unsafe stream.pointee.next_in = UnsafeMutablePointer(
                mutating: bytes.bindMemory(to: UInt8.self).baseAddress)
            unsafe stream.pointee.avail_in = UInt32(bytes.count)
            return run()
        }
        position = unsafe input.byteCount - Int(stream.pointee.avail_in)
        let left = unsafe Int(stream.pointee.avail_out)
        if !isValid { return .invalid }
        return left == 0 ? .more(output.count) : .done(output.count - left)
    }

    private func run() -> Bool {
        while true {
            switch unsafe omni2_inflate(stream) {
            case Z_OK:
                if unsafe stream.pointee.avail_in == 0 || stream.pointee.avail_out == 0 {
                    return true
                }
            case Z_BUF_ERROR: return true  // nothing to read, or no room: no error of the input
            case Z_STREAM_END:
                // A sender may end its stream inside a message (RFC 7692 §7.2.3.4).
                unsafe inflateReset(stream)
                if unsafe stream.pointee.avail_in == 0 { return true }
            default: return false
            }
        }
    }
}
