internal import CShims.Linux
internal import Glibc

/// What the process itself takes from the host, read from `/proc/self`.
public struct ProcessUsage: Sendable {
    public private(set) var cpuSeconds = 0.0
    public private(set) var residentBytes = 0
    public private(set) var virtualBytes = 0
    /// Resident memory that others may map as well.
    public private(set) var sharedBytes = 0
    public private(set) var threads = 0
    public private(set) var descriptors = 0
    public private(set) var descriptorsMax = 0

    /// Members stay 0 where `/proc` is not readable.
    public static func now() -> ProcessUsage {
        var usage = ProcessUsage()
        usage.cpuSeconds = Double(omni2_clock(CLOCK_PROCESS_CPUTIME_ID)) * 1e-9
        let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
        // size resident shared text lib data dt, in pages.
        let memory = words("/proc/self/statm").compactMap { Int($0) }
        if memory.count >= 3 {
            usage.virtualBytes = memory[0] * pageBytes
            usage.residentBytes = memory[1] * pageBytes
            usage.sharedBytes = memory[2] * pageBytes
        }
        // The name in parentheses has no blank; the number of threads is the 20th word.
        let state = words("/proc/self/stat")
        if state.count >= 20 { usage.threads = Int(state[19]) ?? 0 }
        usage.descriptors = Int(omni2_open_descriptors())
        usage.descriptorsMax = Int(omni2_descriptors_max())
        return usage
    }

    private static func words(_ path: String) -> [Substring] {
        do throws(Files.ReadError) {
            let text = String(decoding: try Files.read(path, bytesMax: 4096), as: UTF8.self)
            return text.split { $0 == " " || $0 == "\n" }
        } catch {
            // No figures are better than no answer.
            return []
        }
    }
}

extension Process {
    /// The host's name, as `hostname` says it.
    public static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(
            decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
