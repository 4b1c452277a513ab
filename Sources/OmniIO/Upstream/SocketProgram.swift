internal import CShims.Linux
internal import CShims.Process
internal import Glibc
internal import OmniCore

/// One program behind one connection of a listening socket: what `StandardInput=socket` of a unit with
/// `Accept=yes` is, in a unit whose name stays that of the server.
///
/// The program is a child, so that somebody notices when the peer has gone and the program has not:
/// when this ends, systemd ends whatever is left of the unit.
public enum SocketProgram {
    public enum Ending: Sendable, Equatable {
        /// The program's own exit status.
        case exited(Int32)
        case signalled(Int32)
        /// The peer has gone, and the program did not end by itself.
        case abandoned
    }

    /// How long a program may take to end after its peer has gone, in milliseconds.
    private static let graceMilliseconds: Int32 = 2000

    /// Waits for one peer, gives the connection to the program as standard input and output, and
    /// returns when either has ended. Blocks.
    public static func run(
        on listener: Int32, _ program: String, _ arguments: [String], _ environment: Environment
    ) throws(SystemError) -> Ending {
        let connection = try accept(listener)
        var command = ChildProcess.Command(program, arguments)
        command.environment = environment.variables
        // What tells who was passed what is not for the program.
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"] {
            command.environment[name] = nil
        }
        let process = try ChildStart(command).start(
            input: connection.raw, output: connection.raw, error: 2)
        let handle = omni2_pidfd_open(process)
        if handle < 0 { throw SystemError("pidfd_open", handle) }
        let ended = Descriptor(handle)
        return try watch(process, ended.raw, connection.raw)
    }

    private static func accept(_ listener: Int32) throws(SystemError) -> Descriptor {
        while true {
            _ = wait(for: [listener], POLLIN, milliseconds: -1)
            // Nobody there after all: a peer that has already gone.
            if let peer = try Sockets.acceptNow(listener) {
                // A program expects standard streams that block.
                let flags = fcntl(peer, F_GETFL)
                _ = fcntl(peer, F_SETFL, flags & ~O_NONBLOCK)
                return Descriptor(peer)
            }
        }
    }

    private static func watch(
        _ process: Int32, _ handle: Int32, _ connection: Int32
    ) throws(SystemError) -> Ending {
        // A hang-up is told without being asked for; POLLIN of a pidfd is the end of its process.
        var ready = wait(for: [handle, connection], 0, first: POLLIN, milliseconds: -1)
        if !ready.contains(handle) {
            ready = wait(for: [handle], POLLIN, milliseconds: graceMilliseconds)
        }
        guard ready.contains(handle) else { return .abandoned }
        var status: Int32 = 0
        var isSignal: Int32 = 0
        _ = unsafe omni2_child_ended(process, 1, &status, &isSignal)
        return isSignal == 0 ? .exited(status) : .signalled(status)
    }

    /// Those that are ready; none when the time is over.
    private static func wait(
        for descriptors: [Int32], _ events: Int32, first: Int32? = nil, milliseconds: Int32
    ) -> [Int32] {
        var polled = descriptors.enumerated().map { index, descriptor in
            pollfd(
                fd: descriptor, events: Int16(index == 0 ? first ?? events : events), revents: 0)
        }
        var count: Int32
        repeat {
            count = unsafe poll(&polled, nfds_t(polled.count), milliseconds)
        } while count < 0 && errno == EINTR
        return polled.filter { $0.revents != 0 }.map(\.fd)
    }
}
