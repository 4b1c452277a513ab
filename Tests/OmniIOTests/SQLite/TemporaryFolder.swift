import Glibc
import OmniIO

/// A folder of the test's own, removed with what is in it (one level deep).
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = "/tmp/omni2-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        guard unsafe mkdir(path, 0o700) == 0 else { throw SystemError("mkdir", errno) }
    }

    deinit {
        guard let directory = unsafe opendir(path) else { return }
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            // `.` and `..` refuse, as they should.
            unsafe unlink(path + "/" + name)
        }
        unsafe closedir(directory)
        unsafe rmdir(path)
    }
}
