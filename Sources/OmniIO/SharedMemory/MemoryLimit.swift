internal import CShims.Cache

/// How much memory the cache may take: half of what the cgroup allows.
///
/// Growing beyond `memory.max` does not fail, it gets the daemon killed; so the limit is asked
/// before each step. Where there is no cgroup limit, only the configured size binds.
public struct MemoryLimit {
    /// After a refusal neither the groups nor the kernel are asked again for this long.
    private static let pause: UInt64 = 1_000_000_000

    private let directories: [String]
    private var refusedUntil: UInt64 = 0

    init() {
        self.init(directories: Self.ownDirectories())
    }

    /// Every directory has `memory.max` and `memory.current`; the tightest one decides.
    init(directories: [String]) {
        self.directories = directories
    }

    /// Of the group with the least room: what is taken and cannot be taken back, and its limit. Nil
    /// where nothing is limited.
    public static func tightest() -> (used: Int, max: Int)? {
        let groups = ownDirectories().compactMap { directory -> (used: Int, max: Int)? in
            guard let max = number(in: directory + "/memory.max"),
                let current = number(in: directory + "/memory.current")
            else { return nil }
            return (Swift.max(0, current - reclaimable(in: directory)), max)
        }
        return groups.min { $0.max - $0.used < $1.max - $1.used }
    }

    /// Whether `more` bytes may be taken by somebody who already holds `held` bytes of them.
    mutating func allows(_ more: Int, beyond held: Int, at now: UInt64) -> Bool {
        guard now >= refusedUntil else { return false }
        let isAllowed = hasRoom(more, beyond: held)
        if !isAllowed { refused(at: now) }
        return isAllowed
    }

    private func hasRoom(_ more: Int, beyond held: Int) -> Bool {
        for directory in directories {
            guard let max = Self.number(in: directory + "/memory.max") else { continue }
            if held + more > max / 2 { return false }
            if let current = Self.number(in: directory + "/memory.current"),
                current - Self.reclaimable(in: directory) + more > max - max / 16
            {
                return false
            }
        }
        return true
    }

    /// File pages that the kernel drops before it kills anybody; they fill every busy group.
    private static func reclaimable(in directory: String) -> Int {
        let name = "inactive_file "
        let lines = contents(of: directory + "/memory.stat")?.split(separator: "\n") ?? []
        guard let line = lines.first(where: { $0.hasPrefix(name) }) else { return 0 }
        return Int(line.dropFirst(name.count)) ?? 0
    }

    mutating func refused(at now: UInt64) {
        refusedUntil = now + Self.pause
    }

    /// The process's cgroup and all above it that carry a limit now.
    private static func ownDirectories() -> [String] {
        guard let text = contents(of: "/proc/self/cgroup"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::") })
        else { return [] }
        var path = String(line.dropFirst(3))
        var found: [String] = []
        while true {
            let directory = "/sys/fs/cgroup" + (path == "/" ? "" : path)
            if contents(of: directory + "/memory.max") != nil { found.append(directory) }
            guard let slash = path.lastIndex(of: "/"), path != "/", !path.isEmpty else { break }
            path = String(path[..<slash])
        }
        return found
    }

    /// Nothing for "max" and for what cannot be read: no limit is known.
    private static func number(in path: String) -> Int? {
        contents(of: path).flatMap { Int($0.prefix { $0.isNumber }) }
    }

    private static func contents(of path: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe omni2_read_file(path, $0.baseAddress, $0.count)
        }
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }
}
