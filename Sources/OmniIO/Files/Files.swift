internal import CShims.Systemd

/// Small files read at start: configuration, credentials. These calls block, so they belong to the
/// time before the loop runs, to a reload, or to an `Offload` thread.
public enum Files {
    public enum ReadError: Error, Hashable, Sendable, CustomStringConvertible {
        case system(SystemError)
        /// Larger than the caller is willing to read.
        case tooLarge(bytesMax: Int)
        case notAFile

        public var description: String {
            switch self {
            case .system(let error): error.message
            case .tooLarge(let bytesMax): "larger than \(bytesMax) bytes"
            case .notAFile: "not a regular file"
            }
        }

        public var isNotFound: Bool {
            if case .system(let error) = self { return error.code == ENOENT }
            return false
        }
    }

    /// The whole content of a regular file; `/dev/null` reads as empty.
    public static func read(_ path: String, bytesMax: Int) throws(ReadError) -> [UInt8] {
        let descriptor = unsafe omni2_open_read(path)
        guard descriptor >= 0 else { throw .system(SystemError("open", descriptor)) }
        defer { close(descriptor) }
        var facts = omni2_file_facts()
        let status = unsafe omni2_descriptor_facts(descriptor, &facts)
        guard status == 0 else { throw .system(SystemError("fstat", status)) }
        if facts.is_null_device != 0 { return [] }
        guard facts.is_regular != 0 else { throw .notAFile }
        guard facts.size <= UInt64(bytesMax) else { throw .tooLarge(bytesMax: bytesMax) }
        return try read(descriptor, bytesMax: bytesMax)
    }

    private static func read(_ descriptor: Int32, bytesMax: Int) throws(ReadError) -> [UInt8] {
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            // The chunk outlives the call, which writes at most `count` bytes to it.
            let count = unsafe chunk.withUnsafeMutableBytes { buffer in
                unsafe omni2_read(descriptor, buffer.baseAddress, buffer.count)
            }
            if count < 0 { throw .system(SystemError("read", Int32(count))) }
            if count == 0 { return content }
            content += chunk[..<Int(count)]
            // A file that grows while it is read is held to the same bound.
            if content.count > bytesMax { throw .tooLarge(bytesMax: bytesMax) }
        }
    }

    /// Names in a directory, sorted by bytes, without `.` and `..`; none where there is no directory.
    public static func names(in path: String) throws(SystemError) -> [String] {
        var directory: OpaquePointer?
        let status = unsafe omni2_open_directory(path, &directory)
        if status == -ENOENT || status == -ENOTDIR { return [] }
        guard status == 0, let directory = unsafe directory else {
            throw SystemError("opendir", status)
        }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe String(cString: omni2_entry_name(entry))
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    public static func exists(_ path: String) -> Bool {
        var facts = omni2_file_facts()
        return unsafe omni2_path_facts(path, &facts) == 0
    }

    /// Whether the path leads to `/dev/null`: how systemd's directories say "not this one".
    public static func isMask(_ path: String) -> Bool {
        var facts = omni2_file_facts()
        return unsafe omni2_path_facts(path, &facts) == 0 && facts.is_null_device != 0
    }

    public static func isDirectory(_ path: String) -> Bool {
        var facts = omni2_file_facts()
        return unsafe omni2_path_facts(path, &facts) == 0 && facts.is_directory != 0
    }
}

extension SystemError {
    /// The file is there and not for us.
    public var isDenied: Bool { code == EACCES || code == EPERM }
}
