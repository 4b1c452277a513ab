internal import CShims.Linux
internal import CShims.Systemd
internal import OmniCore

/// What the daemon tells systemd, as datagrams to `$NOTIFY_SOCKET`. Started by hand, without that
/// variable, every call is accepted and says nothing.
///
/// Nothing here waits. A failed call throws; a caller that must be heard, such as `ready`, tries
/// again in the next turn.
public final class ServiceManager {
    /// How often systemd wants to hear `watchdog`, at least; nil where it does not listen. Feed it at
    /// a third of this, from the turn that does the work.
    public let watchdogInterval: Duration?
    private let socket: Int32?

    /// Errors mean that `$NOTIFY_SOCKET` is set and leads nowhere.
    public init(_ environment: Environment) throws(SystemError) {
        watchdogInterval = Self.watchdogInterval(environment)
        guard let path = environment["NOTIFY_SOCKET"] else {
            socket = nil
            return
        }
        let descriptor = unsafe omni2_datagram_connect(path, path.utf8.count)
        guard descriptor >= 0 else { throw SystemError("connect", descriptor) }
        socket = descriptor
    }

    /// One that is not there: every call is accepted and says nothing.
    public init() {
        watchdogInterval = nil
        socket = nil
    }

    deinit { if let socket { close(socket) } }

    /// Whether a service manager listens.
    public var isPresent: Bool { socket != nil }

    /// Serving: sockets are open and requests are answered. Ends `reloading`, too.
    public func ready(status: String? = nil) throws(SystemError) {
        try send(["READY=1"] + Self.status(status))
    }

    /// The line that `systemctl status` shows.
    public func status(_ text: String) throws(SystemError) { try send(Self.status(text)) }

    /// The configuration is being read again; say `ready` when that is done, however it ended.
    public func reloading(status: String? = nil) throws(SystemError) {
        try send(
            ["RELOADING=1", "MONOTONIC_USEC=\(omni2_monotonic_us())"] + Self.status(status))
    }

    /// Going away, and not to be restarted for it.
    public func stopping(status: String? = nil) throws(SystemError) {
        try send(["STOPPING=1"] + Self.status(status))
    }

    /// Still alive. To be said within every `watchdogInterval`.
    public func watchdog() throws(SystemError) { try send(["WATCHDOG=1"]) }

    /// Not to be trusted any longer: systemd acts as if the watchdog had run out.
    public func triggerWatchdog() throws(SystemError) { try send(["WATCHDOG=trigger"]) }

    /// A start or stop takes longer, with good reason: at least this much from now on.
    public func extendTimeout(_ duration: Duration) throws(SystemError) {
        try send(["EXTEND_TIMEOUT_USEC=\(max(0, duration.nanosecondsClamped / 1000))"])
    }

    /// Who the service is from now on.
    public func mainProcess(_ id: Int32) throws(SystemError) { try send(["MAINPID=\(id)"]) }

    /// What is wrong, for `systemctl status`: an errno and a sentence.
    public func failed(_ error: Int32, status: String) throws(SystemError) {
        try send(["ERRNO=\(error)"] + Self.status(status))
    }

    /// Gives descriptors to systemd, which hands them to our successor under this name
    /// (`ActivatedSockets`). `isPolled`: systemd drops them when their peer hangs up.
    ///
    /// Systemd does not answer: `FileDescriptorStoreMax=` of the unit must be large enough.
    public func store(
        _ descriptors: [Int32], name: String, isPolled: Bool = true
    ) throws(SystemError) {
        precondition(Self.isDescriptorName(name), "\(name) cannot name a descriptor")
        var rest = descriptors[...]
        while !rest.isEmpty {
            let batch = Array(rest.prefix(Self.descriptorsPerMessageMax))
            rest = rest.dropFirst(batch.count)
            try send(
                ["FDSTORE=1", "FDNAME=\(name)"] + (isPolled ? [] : ["FDPOLL=0"]), with: batch)
        }
    }

    /// Makes systemd close all stored descriptors of this name.
    public func removeStored(name: String) throws(SystemError) {
        precondition(Self.isDescriptorName(name), "\(name) cannot name a descriptor")
        try send(["FDSTOREREMOVE=1", "FDNAME=\(name)"])
    }

    /// A descriptor that hangs up when systemd has taken all that was sent before: what it holds
    /// then outlives us. Nil where nobody listens. The caller closes it.
    public func barrier() throws(SystemError) -> Int32? {
        guard socket != nil else { return nil }
        var ends: [Int32] = [-1, -1]
        let status = unsafe ends.withUnsafeMutableBufferPointer {
            unsafe omni2_nonblocking_pipe($0.baseAddress)
        }
        if status < 0 { throw SystemError("pipe2", status) }
        defer { close(ends[1]) }
        do throws(SystemError) {
            try send(["BARRIER=1"], with: [ends[1]])
        } catch {
            close(ends[0])
            throw error
        }
        return ends[0]
    }

    /// The kernel's limit for one message.
    public static let descriptorsPerMessageMax = 253

    /// What systemd accepts: printable ASCII without control characters and colons, up to 255.
    static func isDescriptorName(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count)
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
    }

    private func send(_ lines: [String], with descriptors: [Int32] = []) throws(SystemError) {
        guard let socket else { return }
        var text = lines.joined(separator: "\n")
        // Text and descriptors outlive the call, which only reads them.
        let result = text.withUTF8 { bytes in
            unsafe descriptors.withUnsafeBufferPointer { passed in
                unsafe omni2_datagram_send(
                    socket, bytes.baseAddress, bytes.count, passed.baseAddress, passed.count)
            }
        }
        if result < 0 { throw SystemError("sendmsg", Int32(result)) }
    }

    /// One line: a line break would begin another assignment.
    private static func status(_ text: String?) -> [String] {
        guard let text else { return [] }
        return ["STATUS=" + text.map { $0.isNewline ? " " : String($0) }.joined()]
    }

    /// The variable counts only for the process it names.
    private static func watchdogInterval(_ environment: Environment) -> Duration? {
        guard let text = environment["WATCHDOG_USEC"], let count = Int64(text), count > 0 else {
            return nil
        }
        if let process = environment["WATCHDOG_PID"], process != String(getpid()) { return nil }
        return .microseconds(count)
    }
}
