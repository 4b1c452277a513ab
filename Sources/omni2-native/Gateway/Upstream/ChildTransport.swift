import OmniCore
import OmniIO

/// stdio: a child process, one JSON message a line in both directions.
final class ChildTransport: UpstreamTransport {
    weak var sink: (any UpstreamSink)?
    /// Pipes have no headers.
    var protocolVersion: String?
    let isStdio = true
    private let command: ChildProcess.Command
    private let io: any IO
    private let deadlines: UpstreamDeadlines
    private var child: ChildProcess?
    /// The last line it said for people: the likely reason of its end.
    private var lastErrorLine = ""

    init(_ command: ChildProcess.Command, io: any IO, deadlines: UpstreamDeadlines) {
        self.command = command
        self.io = io
        self.deadlines = deadlines
    }

    func open(until deadline: MonotonicTime) async throws(UpstreamError) {
        var limits = ChildProcess.Limits()
        limits.lineBytesMax = deadlines.messageBytesMax
        var callbacks = ChildProcess.Callbacks()
        // The child holds its callbacks, and we hold the child: not each other.
        callbacks.line = { [weak self] in self?.received($0) }
        callbacks.lineTooLong = { [weak self] in self?.sink?.receivedTooLong($0) }
        callbacks.errorLine = { [weak self] in self?.receivedError($0) }
        callbacks.ended = { [weak self] in self?.ended($0) }
        do throws(SystemError) {
            child = try ChildProcess(command, io: io, limits: limits, callbacks: callbacks)
        } catch {
            throw .transport("cannot start \(command.program): \(error.message)")
        }
    }

    private func received(_ line: [UInt8]) {
        sink?.receivedLine(line)
    }

    private func receivedError(_ line: [UInt8]) {
        lastErrorLine = HTTPRefusal.excerpt(line)
        sink?.receivedErrorOutput(line)
    }

    private func ended(_ ending: ChildProcess.Ending) {
        var text: String
        switch ending {
        case .exited(let code): text = "the server process exited with code \(code)"
        case .signalled(let number): text = "the server process was ended by signal \(number)"
        }
        if !lastErrorLine.isEmpty { text += "; its last words: \(lastErrorLine)" }
        child = nil
        sink?.lost(.transport(text))
    }

    func send(_ message: [UInt8], for call: UpstreamCall) async throws(UpstreamError) {
        try write(message)
    }

    func send(_ message: [UInt8], until deadline: MonotonicTime) async throws(UpstreamError) {
        try write(message)
    }

    private func write(_ message: [UInt8]) throws(UpstreamError) {
        guard let child else { throw .transport("the server process has ended") }
        do throws(ChildProcess.Failure) {
            try child.send(MessageLine.make(message))
        } catch {
            switch error {
            case .inputClosed: throw .transport("the server process has closed its input")
            case .inputBacklog: throw .transport("the server process does not read its input")
            }
        }
    }

    func listen(_ subscription: [UInt8]?) {
        guard let subscription else { return }
        do throws(UpstreamError) {
            try write(subscription)
        } catch {
            // A child that cannot be written to is about to end, which is told by itself.
        }
    }

    var cancelsByClosing: Bool { false }

    /// The process is the session.
    func forgetSession() -> Bool { false }

    func close(until deadline: MonotonicTime) async {
        sink = nil
        guard let child else { return }
        self.child = nil
        let grace = min(deadlines.stop, max(.zero, deadline - io.now))
        _ = await child.stop(grace: grace)
    }
}
