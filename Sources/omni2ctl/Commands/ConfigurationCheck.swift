import OmniCore
import OmniIO

/// `config check`: the daemon's own program knows its configuration best.
enum ConfigurationCheck {
    private static let program = "omni2-native"

    @Sendable
    static func run(
        _ invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> Reply {
        guard let path = find(environment) else {
            throw .failed("\(program) is not installed beside omni2ctl, nor in $PATH")
        }
        var words = ["--check"]
        if let file = invocation.optional("FILE") { words = ["--config", file] + words }
        if invocation.options.isJSON { return try reply(path, words, environment) }
        let error = Process.become(path, words)
        throw .failed("\(path) cannot be run: \(error.message)")
    }

    /// For scripts: its words as lines, and its status as ours.
    private static func reply(
        _ path: String, _ words: [String], _ environment: Environment
    ) throws(Failure) -> Reply {
        let output: Process.Output
        do throws(SystemError) {
            output = try Process.output(of: path, words, environment)
        } catch {
            throw .failed("\(path) cannot be run: \(error.message)")
        }
        let isFine = output.status == 0
        let lines = output.text.split(separator: "\n").map(String.init)
        var reply = Reply(["ok": .bool(isFine), "problems": JSONValue(isFine ? [] : lines)]) { _ in
            output.text
        }
        reply.isSuccess = isFine
        reply.failureStatus = output.status
        return reply
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
