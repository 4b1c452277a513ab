import OmniCore
import OmniIO

/// The operator's command: arguments, then one conversation with the daemon, then what it said.
/// Exit codes: see `ExitStatus`.
@main
enum Main {
    static let version = "0.1.0"

    static func main() {
        // Nothing buffered is lost by leaving here: output is written at once.
        Process.exit(run(Array(CommandLine.arguments.dropFirst()), Environment.current()))
    }

    private static func run(_ words: [String], _ environment: Environment) -> Int32 {
        let arguments: Arguments
        do throws(UsageError) {
            arguments = try Arguments(words)
        } catch {
            Console.error("omni2ctl: \(error.message)\n")
            return ExitStatus.usage
        }
        switch arguments {
        case .version:
            Console.print("omni2ctl \(version)\n")
            return ExitStatus.success
        case .help(let topic):
            Pager.show(Help.text(on: topic), environment)
            return ExitStatus.success
        case .run(let invocation): return perform(invocation, environment)
        }
    }

    private static func perform(_ invocation: Invocation, _ environment: Environment) -> Int32 {
        do throws(Failure) {
            let reply = try reply(to: invocation, environment)
            reply.show(invocation.options, environment)
            return reply.exitStatus
        } catch {
            Console.error("omni2ctl: \(error.message)\n")
            return error.exitStatus
        }
    }

    private static func reply(
        to invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> Reply {
        let isLive: Bool
        let body: @Sendable (Invocation, Client) async throws(Failure) -> Reply
        switch invocation.command.body {
        case .local(let body): return try body(invocation, environment)
        case .remote(let remote): (isLive, body) = (false, remote)
        case .live(let live): (isLive, body) = (true, live)
        }
        Process.ignoreBrokenPipes()
        let door = try Door(invocation.options, environment)
        return try Operator.run(at: door, environment, isLive: isLive) {
            client async throws(Failure) in try await body(invocation, client)
        }
    }
}
