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
            Console.print(Help.text(on: topic))
            return ExitStatus.success
        case .run(let invocation): return perform(invocation, environment)
        }
    }

    private static func perform(_ invocation: Invocation, _ environment: Environment) -> Int32 {
        do throws(Failure) {
            let reply: Reply
            switch invocation.command.body {
            case .local(let body): reply = try body(invocation, environment)
            case .remote:
                Process.ignoreBrokenPipes()
                let door = try Door(invocation.options, environment)
                reply = try Operator.run(invocation, at: door, environment)
            }
            reply.show(isJSON: invocation.options.isJSON, environment)
            return reply.isSuccess ? ExitStatus.success : ExitStatus.failure
        } catch {
            Console.error("omni2ctl: \(error.message)\n")
            return error.exitStatus
        }
    }
}
