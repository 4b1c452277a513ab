import Glibc
import OmniIO

/// A directory that a test has for itself.
struct TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/omni2-test-XXXXXX".utf8CString)
        guard
            unsafe template.withUnsafeMutableBufferPointer({ buffer in
                unsafe mkdtemp(buffer.baseAddress!) != nil
            })
        else { throw SystemError("mkdtemp", errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// SQLite leaves its own files beside the database.
    func remove() {
        for suffix in ["omni2.db", "omni2.db-wal", "omni2.db-shm"] { unsafe unlink(file(suffix)) }
        unsafe rmdir(path)
    }
}
