/// A command with what the command line gave it; complete and checked.
struct Invocation: Sendable {
    let command: Command
    var arguments: [String: String] = [:]
    var values: [String: String] = [:]
    /// What stood after `--`.
    var rest: [String] = []
    var options = CommonOptions()

    /// An argument that the command does not declare as optional.
    subscript(argument name: String) -> String {
        guard let value = arguments[name] else {
            preconditionFailure("\(command.name) does not declare \(name)")
        }
        return value
    }

    func optional(_ name: String) -> String? { arguments[name] }
    func option(_ name: String) -> String? { values[name] }
}

/// What every command takes.
struct CommonOptions: Hashable, Sendable {
    var isJSON = false
    var host: String?
    var socket: String?
    var tokenFile: String?

    static let declared: [Option] = [
        Option(name: "json", help: "print the reply as one line of JSON, for scripts"),
        Option(
            name: "socket", value: "PATH",
            help: "the daemon's Unix socket, instead of $RUNTIME_DIRECTORY/admin.sock or "
                + "/run/omni2/admin.sock"),
        Option(
            name: "host", value: "URL",
            help: "a daemon elsewhere, such as https://gateway.example.org; needs a token"),
        Option(
            name: "token-file", value: "FILE",
            help: "read the token from FILE; with --host the token is otherwise $OMNI2_TOKEN"),
        Option(name: "help", help: "say this, or how one command is used"),
        Option(name: "version", help: "say which version this is"),
    ]
}
