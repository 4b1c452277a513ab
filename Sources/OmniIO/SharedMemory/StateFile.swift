internal import CShims.Linux
internal import Glibc

/// Bytes in a memfd: what a process leaves to the one after it.
public enum StateFile {
    /// `name` shows in `/proc/PID/fd`.
    public static func make(_ name: String, _ bytes: [UInt8]) throws(SystemError) -> Descriptor {
        let raw = unsafe omni2_anonymous_file(name)
        guard raw >= 0 else { throw SystemError("memfd_create", raw) }
        let descriptor = Descriptor(raw)
        try overwrite(raw, bytes)
        return descriptor
    }

    /// A descriptor of one's own onto the same file.
    public static func duplicate(_ descriptor: Int32) throws(SystemError) -> Int32 {
        let copy = omni2_duplicate(descriptor)
        if copy < 0 { throw SystemError("dup", copy) }
        return copy
    }

    /// The whole file; EFBIG when it is longer than `bytesMax`.
    public static func read(
        _ descriptor: Int32, bytesMax: Int
    ) throws(SystemError) -> [UInt8] {
        let size = omni2_descriptor_size(descriptor)
        if size < 0 { throw SystemError("fstat", Int32(size)) }
        guard size <= bytesMax else { throw SystemError("read", EFBIG) }
        var bytes = [UInt8](repeating: 0, count: Int(size))
        var position = 0
        while position < bytes.count {
            let result = unsafe bytes.withUnsafeMutableBytes {
                unsafe omni2_read_at(
                    descriptor, $0.baseAddress.map { unsafe $0 + position }, $0.count - position,
                    Int64(position))
            }
            if result < 0 { throw SystemError("pread", Int32(result)) }
            if result == 0 { throw SystemError("pread", EIO) }
            position += Int(result)
        }
        return bytes
    }

    /// Writes over the beginning of the file.
    public static func overwrite(_ descriptor: Int32, _ bytes: [UInt8]) throws(SystemError) {
        var position = 0
        while position < bytes.count {
            let result = unsafe bytes.withUnsafeBytes {
                unsafe omni2_write_at(
                    descriptor, $0.baseAddress.map { unsafe $0 + position }, $0.count - position,
                    Int64(position))
            }
            if result < 0 { throw SystemError("pwrite", Int32(result)) }
            position += Int(result)
        }
    }
}
