internal import CShims.Host
internal import Glibc

/// What the host is like, as far as it decides whether the daemon can live on it.
public enum HostFacts {
    public struct Space: Hashable, Sendable {
        public let bytes: UInt64
        public let bytesLeft: UInt64
    }

    public struct Owner: Hashable, Sendable {
        /// Permission bits.
        public let mode: UInt32
        /// Names, or numbers where nobody has the number.
        public let user: String
        public let group: String
        public let isSocket: Bool
    }

    /// Of the file system that holds a path; nil where the path is not there or not for us.
    public static func space(at path: String) -> Space? {
        var (all, left): (UInt64, UInt64) = (0, 0)
        guard unsafe omni2_space(path, &all, &left) == 0 else { return nil }
        return Space(bytes: all, bytesLeft: left)
    }

    /// Whether something keeps the clock right; nil where nobody may ask.
    public static var isClockKept: Bool? {
        let status = omni2_clock_is_kept()
        return status < 0 ? nil : status == 1
    }

    public static func owner(of path: String) throws(SystemError) -> Owner {
        var facts = omni2_owner()
        let status = unsafe omni2_path_owner(path, &facts)
        if status < 0 { throw SystemError("stat", status) }
        // Both point into memory of the C library's, which is read at once.
        let user = unsafe omni2_user_name(facts.user).map { unsafe String(cString: $0) }
        let group = unsafe omni2_group_name(facts.group).map { unsafe String(cString: $0) }
        return Owner(
            mode: facts.mode, user: user ?? "\(facts.user)", group: group ?? "\(facts.group)",
            isSocket: facts.is_socket != 0)
    }

    /// Whether this process may read and write a file, or connect to a socket.
    public static func mayUse(_ path: String) -> Bool { unsafe omni2_may_use(path) == 0 }

    /// Nil when an io_uring can be made, otherwise why not: ENOSYS, EPERM, ENOMEM.
    public static func whyNoRing() -> SystemError? {
        do throws(SystemError) {
            _ = try Ring(entries: 8, completions: 16)
            return nil
        } catch {
            return error
        }
    }
}
