internal import CShims.Linux
internal import Glibc

extension Files {
    /// Makes a file that must not exist yet, and the directories above it. It is complete or absent:
    /// written under another name, flushed to the disk, then renamed.
    public static func create(
        _ path: String, _ content: [UInt8], mode: UInt32
    ) throws(SystemError) {
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try makeDirectory(String(path[..<slash]))
        }
        let draft = path + ".new"
        let flags = O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC
        let descriptor = unsafe omni2_open_create(draft, flags, mode)
        guard descriptor >= 0 else { throw SystemError("open", descriptor) }
        do throws(SystemError) {
            try write(content, to: descriptor)
            close(descriptor)
        } catch {
            close(descriptor)
            _ = unsafe unlink(draft)
            throw error
        }
        // `link` fails where `rename` would overwrite.
        let status = unsafe link(draft, path)
        let code = errno
        _ = unsafe unlink(draft)
        if status != 0 { throw SystemError("link", code) }
    }

    /// Writes a file anew: what was there stays until the new one is complete. Not flushed to the
    /// disk, so it does not wait for one: after a power failure the file may be empty.
    public static func replace(
        _ path: String, _ content: [UInt8], mode: UInt32
    ) throws(SystemError) {
        let draft = path + ".new"
        // A draft that was left behind may have another mode.
        _ = unsafe unlink(draft)
        let descriptor = unsafe omni2_open_create(
            draft, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw SystemError("open", descriptor) }
        defer { close(descriptor) }
        try writeAll(content, to: descriptor)
        if unsafe rename(draft, path) != 0 { throw SystemError("rename", errno) }
    }

    /// A file that is not there is as good as removed.
    public static func remove(_ path: String) throws(SystemError) {
        if unsafe unlink(path) != 0, errno != ENOENT { throw SystemError("unlink", errno) }
    }

    /// One that holds something, or is not there, stays as it is.
    public static func removeEmptyDirectory(_ path: String) throws(SystemError) {
        if unsafe rmdir(path) != 0, errno != ENOENT, errno != ENOTEMPTY {
            throw SystemError("rmdir", errno)
        }
    }

    /// Makes a directory and those above it; one that is there already is fine.
    public static func makeDirectory(
        _ path: String, mode: UInt32 = 0o750
    ) throws(SystemError) {
        if unsafe mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw SystemError("mkdir", errno)
        }
        try makeDirectory(String(path[..<slash]), mode: mode)
        if unsafe mkdir(path, mode) != 0 && errno != EEXIST { throw SystemError("mkdir", errno) }
    }

    private static func write(_ content: [UInt8], to descriptor: Int32) throws(SystemError) {
        try writeAll(content, to: descriptor)
        if fsync(descriptor) != 0 { throw SystemError("fsync", errno) }
    }

    static func writeAll(
        _ content: [UInt8], to descriptor: Int32
    ) throws(SystemError) {
        var offset = 0
        while offset < content.count {
            let count = unsafe content.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress! + offset, $0.count - offset)
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 { throw SystemError("write", errno) }
            offset += count
        }
    }
}
