import OmniCore
import OmniIO

/// stdio on a host with systemd: the server is the unit `omni2-mcp@NAME`, started by our connection to
/// its socket, in its own cgroup and sandbox. Its error output is its own journal's; what we see of its
/// end is the end of the connection.
final class UnitTransport: UpstreamTransport {
    weak var sink: (any UpstreamSink)?
    /// A stream of lines has no headers.
    var protocolVersion: String?
    let isStdio = true
    private let path: String
    private let name: String
    private let io: any IO
    private let deadlines: UpstreamDeadlines
    private var socket: LineSocket?

    init(_ path: String, name: String, io: any IO, deadlines: UpstreamDeadlines) {
        self.path = path
        self.name = name
        self.io = io
        self.deadlines = deadlines
    }

    func open(until deadline: MonotonicTime) async throws(UpstreamError) {
        var limits = LineSocket.Limits()
        limits.lineBytesMax = deadlines.messageBytesMax
        var callbacks = LineSocket.Callbacks()
        // The socket holds its callbacks, and we hold the socket: not each other.
        callbacks.line = { [weak self] in self?.sink?.receivedLine($0) }
        callbacks.lineTooLong = { [weak self] in self?.sink?.receivedTooLong($0) }
        callbacks.ended = { [weak self] in self?.ended() }
        do throws(SystemError) {
            socket = try await LineSocket.connect(
                path, io: io, until: deadline, limits: limits, callbacks: callbacks)
        } catch {
            throw .transport(advice(error))
        }
    }

    private func advice(_ error: SystemError) -> String {
        if error.isMissing {
            return "it has no unit: \(path) is missing; on this host, as root: "
                + "omni2ctl mcp add \(name) --command …"
        }
        return "\(path): \(error.message); systemctl status omni2-mcp@\(name).socket tells more"
    }

    private func ended() {
        socket = nil
        sink?.lost(
            .transport(
                "the unit omni2-mcp@\(name) has ended; journalctl -u omni2-mcp@\(name) tells why"))
    }

    func send(_ message: [UInt8], for call: UpstreamCall) async throws(UpstreamError) {
        try write(message)
    }

    func send(_ message: [UInt8], until deadline: MonotonicTime) async throws(UpstreamError) {
        try write(message)
    }

    private func write(_ message: [UInt8]) throws(UpstreamError) {
        do throws(LineSocket.Failure) {
            guard let socket else { throw .closed }
            try socket.send(MessageLine.make(message))
        } catch {
            switch error {
            case .closed: throw .transport("the unit omni2-mcp@\(name) has ended")
            case .backlog: throw .transport("the unit omni2-mcp@\(name) does not read its input")
            }
        }
    }

    func listen(_ subscription: [UInt8]?) {
        guard let subscription else { return }
        do throws(UpstreamError) {
            try write(subscription)
        } catch {
            // A connection that cannot be written to is about to end, which is told by itself.
        }
    }

    var cancelsByClosing: Bool { false }

    /// The process is the session.
    func forgetSession() -> Bool { false }

    func close(until deadline: MonotonicTime) async {
        sink = nil
        guard let socket else { return }
        self.socket = nil
        socket.closeOutput()
        _ = await socket.waitForEnd(until: min(deadline, io.now + deadlines.stop))
        // A unit that stays all the same is ended by its own supervisor.
        socket.close()
    }
}
