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
    var token: String?
    var tokenFile: String?
    var authorityFile: String?
    var hasPager = true
    /// Nothing is cut to fit the terminal.
    var isFull = false

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
        Option(
            name: "token", value: "TOKEN",
            help: "the token itself, which other users of this host can see; better a file"),
        Option(
            name: "ca-file", value: "FILE",
            help: "trust the authorities in FILE, in PEM, instead of the system's; with --host"),
        Option(name: "no-pager", help: "do not show what is longer than the terminal by a pager"),
        Option(name: "full", help: "do not cut lines to the width of the terminal"),
        Option(name: "help", help: "say this, or how one command is used"),
        Option(name: "version", help: "say which version this is"),
    ]
}
