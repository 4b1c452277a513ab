import OmniCore
import OmniIO

/// The daemon's Unix sockets as files: there, and for whom.
struct SocketChecks {
    private static let area = "Sockets"

    let socket: String
    let environment: Environment

    init(_ socket: String, _ environment: Environment) {
        self.socket = socket
        self.environment = environment
    }

    var findings: [Finding] {
        // The cache's lies beside it.
        let folder = socket.lastIndex(of: "/").map { socket[..<$0] } ?? "."
        return [finding("Administration", socket), cache("\(folder)/cache.sock")]
    }

    private func finding(_ name: String, _ path: String) -> Finding {
        let owner: HostFacts.Owner
        do throws(SystemError) {
            owner = try HostFacts.owner(of: path)
        } catch {
            return .fail(
                Self.area, name, "\(path): \(error.message)",
                error.isMissing
                    ? "start the daemon: systemctl enable --now omni2-native.socket; or name its "
                        + "socket with --socket, or [HTTP] Listen=\(path)"
                    : "use sudo, or become a member of the group omni2-admin")
        }
        let facts = "\(path) \(mode(owner)) \(owner.user):\(owner.group)"
        guard owner.isSocket else {
            return .fail(Self.area, name, "\(path) is no socket", "remove it; restart the daemon")
        }
        if owner.mode & 0o002 != 0 {
            return .fail(
                Self.area, name, "\(facts): everybody on this host can reach it",
                "chmod o= \(path); SocketMode=0660 of omni2-native-admin.socket")
        }
        guard HostFacts.mayUse(path) else {
            return .fail(
                Self.area, name, "\(facts): not for you",
                "use sudo, or usermod -aG \(owner.group) YOU and log in again")
        }
        return .ok(Self.area, name, facts)
    }

    /// Programs of this host read kept results through it; the daemon works without.
    private func cache(_ path: String) -> Finding {
        do throws(SystemError) {
            let owner = try HostFacts.owner(of: path)
            guard owner.isSocket else {
                return .fail(
                    Self.area, "Shared cache", "\(path) is no socket",
                    "remove it; restart the daemon")
            }
            return attached(path, "\(path) \(mode(owner)) \(owner.user):\(owner.group)")
        } catch {
            return .skip(
                Self.area, "Shared cache",
                "\(path): \(error.message); other programs of this host share no results")
        }
    }

    /// Whether a reader gets the segment: the reader for scripts tells, where it is installed.
    private func attached(_ path: String, _ facts: String) -> Finding {
        let name = "Shared cache"
        do throws(SystemError) {
            let output = try Process.output(
                of: "omni2-cache", ["-s", path, "stats"], environment)
            if output.status == 0 {
                return .ok(Self.area, name, "\(facts), its segment can be read")
            }
            let reason = Words.firstLine(output.text, countMax: 200)
            return .warn(
                Self.area, name, "\(facts), but no segment for you: \(reason)",
                "readers are members of the group omni2-cache, and not the daemon's own user unless "
                    + "[Cache] SameUser=yes")
        } catch {
            // Without the reader the socket is all that can be seen.
            return .ok(Self.area, name, facts)
        }
    }

    private func mode(_ owner: HostFacts.Owner) -> String {
        let digits = String(owner.mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
