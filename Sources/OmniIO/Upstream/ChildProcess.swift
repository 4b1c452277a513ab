internal import CShims.Linux
internal import CShims.Process
internal import Glibc
public import OmniCore

/// A program we talk to by lines on its standard streams, in a process group of its own.
///
/// One task watches its output, its error output and its end, and calls back on the ring. The group
/// does not outlive the program: when the program ends, or is stopped, what is left of the group is
/// killed before the program's id is given up, so that no stranger can be hit; `ChildSweep` finds
/// what had left the group. The kernel kills the program when our thread ends.
///
/// Call `stop` before letting go: until the program has ended its task keeps this object alive.
public final class ChildProcess {
    public struct Command: Sendable, Equatable {
        /// A path, or a name that is looked up in `PATH` of the environment given.
        public var program: String
        public var arguments: [String] = []
        /// The whole environment: nothing is inherited.
        public var environment: [String: String] = [:]
        /// Nil: ours.
        public var directory: String?

        public init(_ program: String, _ arguments: [String] = []) {
            self.program = program
            self.arguments = arguments
        }
    }

    public struct Limits: Sendable {
        /// Longer lines of output are left out and reported.
        public var lineBytesMax = 64 << 20
        /// Longer lines of error output are cut.
        public var errorLineBytesMax = 4096
        /// Input the program has not read yet; beyond it `send` throws.
        public var inputBytesMax = 64 << 20
        public init() {}
    }

    public enum Ending: Sendable, Equatable {
        case exited(code: Int32)
        case signalled(number: Int32)
    }

    public enum Failure: Error, Sendable, Equatable {
        /// Its input is closed, by us or by its end.
        case inputClosed
        /// It does not read what it is sent.
        case inputBacklog(bytesMax: Int)
    }

    /// What it says, called on the ring.
    public struct Callbacks {
        /// A line of output.
        public var line: ([UInt8]) -> Void = { _ in }
        /// An output line was too long; its first bytes.
        public var lineTooLong: ([UInt8]) -> Void = { _ in }
        public var errorLine: ([UInt8]) -> Void = { _ in }
        /// It has ended and its group with it. Called once, after all lines.
        public var ended: (Ending) -> Void = { _ in }
        public init() {}
    }

    public let process: Int32
    private let io: any IO
    private let limits: Limits
    private var callbacks: Callbacks
    private let watched: PollSet
    private let streams: ChildStreams
    private let handle: Descriptor
    private let ending: Promise<Ending>
    private let sweep = ChildSweep()
    private var hasEnded = false

    /// Starts the program.
    ///
    /// - Throws: ENOENT, EACCES and the like when it cannot be run; EAGAIN and EMFILE when there is
    ///   no room for it.
    public init(
        _ command: Command, io: any IO, limits: Limits = Limits(), callbacks: Callbacks
    ) throws(SystemError) {
        self.io = io
        self.limits = limits
        self.callbacks = callbacks
        ending = Promise<Ending>(io)
        watched = try PollSet()
        let pipes = try ChildPipes()
        var command = command
        command.environment[ChildSweep.name] = sweep.mark
        process = try ChildStart(command).start(pipes)
        // From here on an error must not leave the program running.
        do throws(SystemError) {
            let handle = omni2_pidfd_open(process)
            if handle < 0 { throw SystemError("pidfd_open", handle) }
            self.handle = Descriptor(handle)
            streams = ChildStreams(pipes, limits: limits)
            try watched.watch(handle, .readable, tag: Tag.process.rawValue)
            try watched.watch(streams.output, .readable, tag: Tag.output.rawValue)
            try watched.watch(streams.error, .readable, tag: Tag.error.rawValue)
        } catch {
            Self.killGroup(process)
            throw error
        }
        io.spawn { await self.watch() }
    }

    private enum Tag: UInt32 { case process, output, error, input }

    // MARK: Talking

    /// Queues bytes for its input and writes what the pipe takes at once.
    public func send(_ bytes: [UInt8]) throws(Failure) {
        guard streams.isInputOpen else { throw .inputClosed }
        guard streams.backlogBytes + bytes.count <= limits.inputBytesMax else {
            throw .inputBacklog(bytesMax: limits.inputBytesMax)
        }
        streams.queue(bytes)
        flush()
    }

    /// Closes its input once everything queued is written: the polite request to end.
    public func closeInput() {
        streams.closesInputWhenFlushed = true
        flush()
    }

    private func flush() {
        switch streams.flush() {
        case .done: watched.forget(streams.input)
        case .blocked:
            do throws(SystemError) {
                try watched.watch(streams.input, .writable, tag: Tag.input.rawValue)
            } catch {
                // Out of kernel memory for the set: the program is as good as not reading.
                streams.closeInput()
            }
        case .closed: break
        }
    }

    // MARK: Stopping

    /// Waits until it has ended and nothing of it is left. Nil when that is not so at the deadline.
    public func waitForEnd(until deadline: MonotonicTime) async -> Ending? {
        await ending.value(until: deadline)
    }

    /// Closes its input, then sends SIGTERM and SIGKILL to its group, with `grace` before each.
    public func stop(grace: Duration) async -> Ending {
        closeInput()
        if let ending = await waitForEnd(until: io.now + grace) { return ending }
        signal(SIGTERM)
        if let ending = await waitForEnd(until: io.now + grace) { return ending }
        signal(SIGKILL)
        // Only a kernel that holds it in a system call can delay this, so the wait is bounded.
        if let ending = await waitForEnd(until: io.now + .seconds(10)) { return ending }
        return .signalled(number: SIGKILL)
    }

    /// Sends a signal to its whole group.
    public func signal(_ number: Int32) {
        // Until it is reaped the id is its own; ESRCH means that the group has gone.
        if !hasEnded { kill(-process, number) }
    }

    private static func killGroup(_ process: Int32) {
        kill(-process, SIGKILL)
        var status: Int32 = 0
        _ = unsafe waitpid(process, &status, 0)
    }

    // MARK: Watching

    private func watch() async {
        while !hasEnded {
            for event in await watched.next(io) {
                switch Tag(rawValue: event.tag) {
                case .output: if !readOutput() { watched.forget(streams.output) }
                case .error: if !readError() { watched.forget(streams.error) }
                case .input: flush()
                case .process: end()
                case nil: break
                }
            }
        }
    }

    /// False at the end of the stream.
    private func readOutput() -> Bool {
        streams.readOutput { item in
            switch item {
            case .line(let line): callbacks.line(line)
            case .tooLong(let prefix): callbacks.lineTooLong(prefix)
            }
        }
    }

    private func readError() -> Bool {
        streams.readError { item in
            switch item {
            case .line(let line), .tooLong(let line): callbacks.errorLine(line)
            }
        }
    }

    private func end() {
        var status: Int32 = 0
        var isSignal: Int32 = 0
        guard !hasEnded, unsafe omni2_child_ended(process, 0, &status, &isSignal) == 1 else {
            return
        }
        // It is a zombie now and its id still taken: the group can be killed safely.
        kill(-process, SIGKILL)
        _ = unsafe omni2_child_ended(process, 1, &status, &isSignal)
        hasEnded = true
        // Its last words; what grandchildren may still say is not waited for.
        _ = readOutput()
        _ = readError()
        streams.closeInput()
        let outcome: Ending = isSignal == 0 ? .exited(code: status) : .signalled(number: status)
        let ended = callbacks.ended
        callbacks = Callbacks()
        ended(outcome)
        io.spawn { [io, sweep, ending] in
            _ = await io.offload { sweep.run() }
            ending.fulfil(outcome)
        }
    }
}
