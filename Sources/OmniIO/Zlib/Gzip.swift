internal import CShims.Zlib

/// RFC 1952, for content that is compressed once and sent often.
public enum Gzip {
    /// At the best level: a whole member with header and checksum.
    public static func compressed(_ input: [UInt8]) throws(SystemError) -> [UInt8] {
        // Sixteen more than the window's bits asks zlib for gzip's frame.
        let gzipWindow: Int32 = 15 + 16
        var stream = unsafe z_stream()
        let status = unsafe deflateInit2_(
            &stream, Z_BEST_COMPRESSION, Z_DEFLATED, gzipWindow, 8, Z_DEFAULT_STRATEGY,
            ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else { throw SystemError("deflateInit2", noMemory) }
        defer { unsafe deflateEnd(&stream) }
        var output = [UInt8](
            repeating: 0, count: Int(unsafe deflateBound(&stream, UInt(input.count))))
        // Both arrays outlive the call, which reads the one and writes within the other.
        let end = unsafe input.withUnsafeBufferPointer { source in
            unsafe output.withUnsafeMutableBufferPointer { target in
                unsafe stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
                unsafe stream.avail_in = UInt32(source.count)
                unsafe stream.next_out = target.baseAddress
                unsafe stream.avail_out = UInt32(target.count)
                return unsafe deflate(&stream, Z_FINISH)
            }
        }
        precondition(end == Z_STREAM_END, "zlib promised room for the whole member")
        output.removeLast(Int(unsafe stream.avail_out))
        return output
    }

    /// ENOMEM; the C library's module is not imported for one number.
    private static let noMemory: Int32 = 12
}
