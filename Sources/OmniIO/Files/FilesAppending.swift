internal import CShims.Linux
internal import CShims.Systemd
internal import Glibc

extension Files {
    /// Adds to the end of a file, which is made where it does not exist. Handed to the kernel, not
    /// flushed to the disk: it outlives the process, not a power failure.
    public static func append(
        _ path: String, _ content: [UInt8], mode: UInt32
    ) throws(SystemError) {
        let descriptor = unsafe omni2_open_create(
            path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw SystemError("open", descriptor) }
        defer { close(descriptor) }
        try writeAll(content, to: descriptor)
    }

    /// Bytes of a file; nil where there is none.
    public static func size(_ path: String) -> Int? {
        var facts = omni2_file_facts()
        guard unsafe omni2_path_facts(path, &facts) == 0 else { return nil }
        return Int(clamping: facts.size)
    }
}
