import OmniCore
import OmniIO

/// Kernel, io_uring, limits, system settings and clock of this host.
struct HostChecks {
    private static let area = "Host"
    /// A connection takes one descriptor.
    private static let filesWanted: UInt64 = 65_536
    private static let filesNeeded: UInt64 = 1_024
    private static let lockedBytesWanted: UInt64 = 8 << 20
    private static let backlogWanted = 4096

    let environment: Environment

    init(_ environment: Environment) { self.environment = environment }

    var findings: [Finding] {
        let limits = DaemonLimits.find(environment)
        return [kernel, ring, files(limits), locked(limits), backlog, fileMaximum, clock]
    }

    private var kernel: Finding {
        let release = Self.setting("kernel/osrelease") ?? "unknown"
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        let isNew = numbers.count == 2 && (numbers[0], numbers[1]) >= (6, 1)
        return isNew
            ? .ok(Self.area, "Kernel", release)
            : .fail(
                Self.area, "Kernel", "\(release); the daemon needs Linux 6.1 or later",
                "install a newer kernel, such as Debian 12's, and reboot")
    }

    private var ring: Finding {
        let forbidden = Self.setting("kernel/io_uring_disabled").flatMap { Int($0) } ?? 0
        if forbidden >= 2 {
            return .fail(
                Self.area, "io_uring", "forbidden for everybody on this host",
                "sysctl kernel.io_uring_disabled=0, and the same in /etc/sysctl.d")
        }
        if let error = HostFacts.whyNoRing() {
            return .fail(
                Self.area, "io_uring", "not available: \(error)",
                error.isDenied
                    ? "allow the system calls io_uring_setup, io_uring_enter and io_uring_register "
                        + "(SystemCallFilter= of the unit, seccomp of the container), or set "
                        + "kernel.io_uring_disabled to 0"
                    : "use a kernel with io_uring, and LimitMEMLOCK= of 8 MiB or more")
        }
        if forbidden == 1 {
            let group = Self.setting("kernel/io_uring_group") ?? "-1"
            return .warn(
                Self.area, "io_uring",
                "only for root and the group \(group) (kernel.io_uring_disabled is 1)",
                "sysctl kernel.io_uring_disabled=0, or put the user omni2 into that group")
        }
        return .ok(Self.area, "io_uring", "available")
    }

    // MARK: Limits

    private func files(_ limits: DaemonLimits) -> Finding {
        let name = "Open files"
        guard let files = limits.files else {
            return .ok(Self.area, name, "no limit\(limits.whose)")
        }
        let message = "\(files)\(limits.whose)"
        if files >= Self.filesWanted { return .ok(Self.area, name, message) }
        let advice =
            "raise LimitNOFILE= of omni2-native.service, or ulimit -n, to \(Self.filesWanted)"
        return files >= Self.filesNeeded
            ? .warn(Self.area, name, "\(message): so many connections at most", advice)
            : .fail(Self.area, name, "\(message) is too few", advice)
    }

    private func locked(_ limits: DaemonLimits) -> Finding {
        let name = "Locked memory"
        guard let bytes = limits.lockedBytes else {
            return .ok(Self.area, name, "no limit\(limits.whose)")
        }
        let message = Words.bytes(Int64(clamping: bytes)) + limits.whose
        return bytes >= Self.lockedBytesWanted
            ? .ok(Self.area, name, message)
            : .warn(
                Self.area, name, "\(message); io_uring may need 8 MiB",
                "raise LimitMEMLOCK= of omni2-native.service, or ulimit -l")
    }

    // MARK: System settings

    private var backlog: Finding {
        let name = "Listen backlog"
        guard let count = Self.setting("net/core/somaxconn").flatMap({ Int($0) }) else {
            return .skip(Self.area, name, "net.core.somaxconn cannot be read")
        }
        let message = "net.core.somaxconn is \(count)"
        return count >= Self.backlogWanted
            ? .ok(Self.area, name, message)
            : .warn(
                Self.area, name, "\(message): many clients at once are refused",
                "sysctl net.core.somaxconn=\(Self.backlogWanted), and the same in /etc/sysctl.d")
    }

    private var fileMaximum: Finding {
        let name = "Files of the host"
        let numbers = (Self.setting("fs/file-nr") ?? "").split { $0 == "\t" || $0 == " " }
            .compactMap { UInt64($0) }
        guard numbers.count == 3 else {
            return .skip(Self.area, name, "fs.file-nr cannot be read")
        }
        let (open, limit) = (numbers[0], numbers[2])
        let message = limit > 1 << 62 ? "\(open) open" : "\(open) of \(limit) open"
        return open < limit / 10 * 9
            ? .ok(Self.area, name, message)
            : .warn(
                Self.area, name, message, "sysctl fs.file-max, and find who keeps so many open")
    }

    private var clock: Finding {
        let name = "Clock"
        let now = WallTime.now()
        guard now.secondsSince1970 > 1_735_689_600 else {  // 2025
            return .fail(
                Self.area, name, "says \(now.localText), which cannot be",
                "set it: tokens and certificates are judged by it; timedatectl set-ntp true")
        }
        switch HostFacts.isClockKept {
        case true?: return .ok(Self.area, name, "\(now.localText), kept right")
        case false?:
            return .warn(
                Self.area, name, "\(now.localText); nothing keeps it right",
                "install systemd-timesyncd or chrony; timedatectl says how it is")
        case nil: return .skip(Self.area, name, "\(now.localText); who keeps it is not shown to us")
        }
    }

    /// Of `/proc/sys`; nil where it is not there or not for us.
    static func setting(_ name: String) -> String? {
        do throws(Files.ReadError) {
            let bytes = try Files.read("/proc/sys/\(name)", bytesMax: 4096)
            return String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self)
        } catch {
            return nil
        }
    }
}

/// The limits that count: those of the running daemon where systemd knows it, else our own.
private struct DaemonLimits {
    /// Nil: there is no limit.
    var files: UInt64?
    var lockedBytes: UInt64?
    var whose: String

    static func find(_ environment: Environment) -> DaemonLimits {
        let unit = UnitFacts("omni2-native.service", environment)
        if let process = unit["MainPID"].flatMap({ Int32($0) }), process > 0,
            let text = text(of: "\(process)")
        {
            return DaemonLimits(text, whose: " for the daemon")
        }
        return DaemonLimits(text(of: "self") ?? "", whose: " for this shell")
    }

    /// The hard limits in `/proc/PID/limits`.
    private init(_ text: String, whose: String) {
        let lines = text.split(separator: "\n")
        func hard(_ name: String) -> UInt64? {
            let line = lines.first { $0.hasPrefix(name) }
            return line?.dropFirst(name.count).split(separator: " ").dropFirst().first
                .flatMap { UInt64($0) }
        }
        self.whose = whose
        files = hard("Max open files")
        lockedBytes = hard("Max locked memory")
    }

    private static func text(of process: String) -> String? {
        do throws(Files.ReadError) {
            let bytes = try Files.read("/proc/\(process)/limits", bytesMax: 65_536)
            return String(decoding: bytes, as: UTF8.self)
        } catch {
            return nil
        }
    }
}
