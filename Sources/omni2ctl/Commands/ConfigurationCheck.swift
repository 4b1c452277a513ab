import OmniIO

/// `config check`: the daemon's own program knows its configuration best.
enum ConfigurationCheck {
    private static let program = "omni2-native"

    @Sendable
    static func run(
        _ invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> Reply {
        if invocation.options.isJSON {
            throw .usage("config check speaks to people and by its exit status; leave --json out")
        }
        guard let path = find(environment) else {
            throw .failed("\(program) is not installed beside omni2ctl, nor in $PATH")
        }
        var words = ["--check"]
        if let file = invocation.optional("FILE") { words = ["--config", file] + words }
        let error = Process.become(path, words)
        throw .failed("\(path) cannot be run: \(error.message)")
    }

    /// Beside ourselves first: two versions on one host do not check each other's files.
    static func find(_ environment: Environment) -> String? {
        var directories = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin")
            .split(separator: ":").map(String.init)
        if let own = CommandLine.arguments.first, let slash = own.lastIndex(of: "/") {
            directories.insert(String(own[..<slash]), at: 0)
        }
        return directories.map { "\($0)/\(program)" }.first {
            Files.exists($0) && !Files.isDirectory($0)
        }
    }
}
