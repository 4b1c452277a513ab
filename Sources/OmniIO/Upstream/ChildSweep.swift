internal import CShims.Linux
internal import CShims.Process
internal import Glibc

/// Finds what a child left behind outside of its process group, and kills it.
///
/// A descendant that made a session of its own escapes the group, and one whose parent has ended
/// escapes the family tree. What it cannot shed without effort is its environment: every child gets
/// a mark in it that no other process has. These calls read files, so they belong to `Offload`.
struct ChildSweep: Sendable {
    static let name = "OMNI2_CHILD"
    /// Who forks faster than this many passes can follow is somebody else's case: the unit's cgroup.
    private static let passesMax = 5

    let mark: String
    private let entry: [UInt8]

    /// A mark for one child.
    init() {
        var random: UInt64 = 0
        unsafe withUnsafeMutableBytes(of: &random) { bytes in
            // Eight bytes never come short once the kernel's pool is ready, as it is after boot.
            _ = unsafe getrandom(bytes.baseAddress, bytes.count, 0)
        }
        mark = "\(getpid())-\(String(random, radix: 16))"
        entry = Array("\(Self.name)=\(mark)".utf8)
    }

    /// How many were killed.
    func run() -> Int {
        var killed = 0
        for _ in 0..<Self.passesMax {
            let found = pass()
            if found == 0 { break }
            killed += found
        }
        return killed
    }

    private func pass() -> Int {
        guard let folder = unsafe opendir("/proc") else { return 0 }
        defer { unsafe closedir(folder) }
        var killed = 0
        while let file = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: &file.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let process = Int32(name), process != getpid(), kill(process) { killed += 1 }
        }
        return killed
    }

    /// Kills the process if it carries the mark. The handle comes first, so that the process that
    /// is looked at is the one that is hit.
    private func kill(_ process: Int32) -> Bool {
        let handle = omni2_pidfd_open(process)
        if handle < 0 { return false }
        defer { close(handle) }
        return carriesMark(process) && omni2_process_kill(handle) == 0
    }

    /// A zombie has no environment any more, and a foreign user's cannot be read: both are not ours.
    private func carriesMark(_ process: Int32) -> Bool {
        let environment = unsafe open("/proc/\(process)/environ", O_RDONLY | O_CLOEXEC)
        if environment < 0 { return false }
        defer { close(environment) }
        var kept: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = unsafe read(environment, &chunk, chunk.count)
            if count <= 0 { return kept == entry }
            for byte in chunk[..<count] {
                if byte != 0 {
                    // No longer entry can be the mark.
                    if kept.count <= entry.count { kept.append(byte) }
                } else if kept == entry {
                    return true
                } else {
                    kept.removeAll(keepingCapacity: true)
                }
            }
        }
    }
}
