import OmniIO

/// The process: arguments, configuration, journal, then the daemon on its ring until it is told to
/// stop. Exit codes: see `ExitStatus`.
@main
enum Main {
    static let version = "0.1.0"
    /// EINVAL, for what is wrong without a system call saying so.
    static let invalid: Int32 = 22

    static func main() {
        Process.exit(run())
    }

    private static func run() -> Int32 {
        let environment = Environment.current()
        let arguments: ConfigurationArguments
        do throws(ConfigurationArguments.Failure) {
            arguments = try ConfigurationArguments(CommandLine.arguments.dropFirst())
        } catch {
            Console.error("omni2-native: \(error)\n")
            return ExitStatus.usage
        }
        switch arguments {
        case .version:
            Console.print("omni2-native \(version)\n")
            return ExitStatus.success
        case .help:
            Console.print(ConfigurationArguments.usage + "\n")
            Console.print(ConfigurationArguments.settings(Configuration.standard().rows))
            return ExitStatus.success
        case .check(let location):
            guard let configuration = load(location, environment, isCheck: true),
                check(configuration)
            else {
                return ExitStatus.configuration
            }
            Console.print("configuration is fine\n")
            return ExitStatus.success
        case .run(let location):
            guard let configuration = load(location, environment) else {
                return ExitStatus.configuration
            }
            return serve(configuration, environment)
        }
    }

    private static func load(
        _ location: ConfigurationLocation, _ environment: Environment, isCheck: Bool = false
    ) -> Configuration? {
        do throws(ConfigurationError) {
            return try Configuration.load(
                location, environment: environment, isCheck: isCheck)
        } catch {
            Console.error(error.description + "\n")
            if !isCheck { tellManager(environment, error.description, errno: invalid) }
            return nil
        }
    }

    /// What the configuration points to, as far as it can be read without changing anything.
    private static func check(_ configuration: Configuration) -> Bool {
        guard let path = configuration.mcp.importFile else { return true }
        do throws(ServerImport.Problem) {
            _ = try ServerImport.read(path)
            return true
        } catch {
            Console.error("\(error)\n")
            return false
        }
    }

    private static func serve(_ configuration: Configuration, _ environment: Environment) -> Int32 {
        Process.ignoreBrokenPipes()
        do throws(StartError) {
            // Signals are blocked before any other thread exists, so that all threads inherit it.
            let daemon = try Daemon(configuration, environment)
            return daemon.run()
        } catch {
            Console.error("omni2-native: \(error)\n")
            tellManager(environment, error.description, errno: error.errno)
            return error.exitStatus
        }
    }

    /// For `systemctl status`, which keeps it after our end.
    static func tellManager(_ environment: Environment, _ status: String, errno: Int32) {
        do throws(SystemError) {
            try ServiceManager(environment).failed(errno, status: status)
        } catch {
            // Standard error has said it, too.
        }
    }
}

/// Why the daemon could not start.
enum StartError: Error, CustomStringConvertible {
    /// The machine has no io_uring for us.
    case noRing(SystemError)
    case cannotListen(String, SystemError)
    case adminToken(AdminToken.LoadError)
    case importFile(ServerImport.Problem)
    case system(SystemError)

    var exitStatus: Int32 {
        switch self {
        case .noRing, .cannotListen, .adminToken, .importFile: ExitStatus.configuration
        case .system: ExitStatus.failure
        }
    }

    /// For systemd's `ERRNO=`.
    var errno: Int32 {
        switch self {
        case .noRing(let error), .cannotListen(_, let error), .system(let error): error.code
        case .adminToken, .importFile: Main.invalid
        }
    }

    var description: String {
        switch self {
        case .noRing(let error):
            "io_uring is not available (\(error)); it needs Linux 6.1 or later, "
                + "/proc/sys/kernel/io_uring_disabled at 0, the system calls io_uring_setup, "
                + "io_uring_enter and io_uring_register allowed, and LimitMEMLOCK= of 8 MiB or more"
        case .cannotListen(let address, let error):
            "[HTTP] Listen=\(address): \(error); choose an address that is free and yours"
        case .adminToken(let error): error.description
        case .importFile(let problem): problem.description
        case .system(let error): error.description
        }
    }
}
