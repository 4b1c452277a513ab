internal import CShims.Systemd
internal import Glibc
public import OmniCore

/// Tells when memory is short: a trigger in a pressure file of the kernel (PSI), of our own control
/// group where that may be written, else of the whole machine.
///
/// systemd 252 has no MemoryPressureWatch=; the unit opens the group's file to us.
public final class MemoryPressure {
    /// Tasks that were held up for memory for 150 ms within two seconds, the window that programs without
    /// rights may ask for.
    private static let trigger = "some 150000 2000000"
    private static let machine = "/proc/pressure/memory"

    /// The file that is watched.
    public let path: String
    private let file: Descriptor

    /// Nil where the kernel has no pressure files, or lets us watch none.
    public static func open(_ candidates: [String]? = nil) -> MemoryPressure? {
        for path in candidates ?? ownFiles + [machine] {
            let raw = unsafe Glibc.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
            guard raw >= 0 else { continue }
            let file = Descriptor(raw)
            let text = Array(trigger.utf8) + [0]
            if unsafe write(file.raw, text, text.count) == text.count {
                return MemoryPressure(path, file)
            }
        }
        return nil
    }

    init(_ path: String, _ file: consuming Descriptor) {
        self.path = path
        self.file = file
    }

    /// Waits for the next shortage. Throws when the file tells no more.
    public func next(_ io: any IO, until deadline: MonotonicTime) async throws(SystemError) {
        let ready = try await io.readiness(of: file.raw, .urgent, until: deadline)
        if !ready.contains(.urgent) { throw SystemError("poll", EIO) }
    }

    /// The pressure file of our control group, in the unified hierarchy wherever it is mounted.
    private static var ownFiles: [String] {
        // Without /proc there is no group to be found, and the machine's file will not open either.
        guard let bytes = try? Files.read("/proc/self/cgroup", bytesMax: 1 << 16) else { return [] }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("0::/") }) else { return [] }
        let group = line.dropFirst(3)
        return ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map {
            "\($0)\(group == "/" ? "" : group)/memory.pressure"
        }
    }
}
