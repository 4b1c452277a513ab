import OmniCore
import OmniIO

/// `stdio`: what the units `omni2-mcp@NAME` run. See `SocketProgram`.
enum StandardStreams {
    @Sendable
    static func run(
        _ invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> Reply {
        guard let program = invocation.rest.first else {
            throw .usage(
                "no command after --; omni2ctl mcp add NAME --command … gives a unit its command")
        }
        let ending: SocketProgram.Ending
        do throws(SystemError) {
            ending = try SocketProgram.run(
                on: listener(environment), program, Array(invocation.rest.dropFirst()), environment)
        } catch {
            throw .failed("\(program): \(error)")
        }
        switch ending {
        case .exited(0): return Reply([:]) { _ in "" }
        case .exited(let status): throw .failed("\(program) ended with status \(status)")
        case .signalled(let number): throw .failed("\(program) was ended by signal \(number)")
        case .abandoned:
            Console.error("omni2ctl: the gateway has hung up, ending \(program)\n")
            return Reply([:]) { _ in "" }
        }
    }

    private static func listener(_ environment: Environment) throws(SystemError) -> Int32 {
        let passed = try ActivatedSockets(environment).all
        // EBADF is what using the missing descriptor would say.
        guard let first = passed.first, passed.count == 1 else { throw SystemError("listen", 9) }
        return first.descriptor
    }
}
