import OmniIO

/// One command as the table declares it: the parser, the help, the manual page and the shells'
/// completion follow it.
struct Command: Sendable {
    enum Body: Sendable {
        /// Talks to the daemon.
        case remote(@Sendable (Invocation, Client) async throws(Failure) -> Reply)
        /// Talks to the daemon and prints as it goes, until it is done or a person ends it.
        case live(@Sendable (Invocation, Client) async throws(Failure) -> Reply)
        /// Works on this host alone.
        case local(@Sendable (Invocation, Environment) throws(Failure) -> Reply)
    }

    /// `["mcp", "add"]`.
    let words: [String]
    /// In their order; optional ones come last.
    var arguments: [Argument] = []
    var options: [Option] = []
    /// Takes everything after `--`.
    var rest: String?
    /// One line.
    let summary: String
    /// What the line leaves out; may be empty.
    var detail = ""
    let body: Body

    var name: String { words.joined(separator: " ") }

    /// How it is called: `mcp show NAME`.
    var synopsis: String {
        var parts = words + arguments.map { $0.isOptional ? "[\($0.name)]" : $0.name }
        if !options.isEmpty { parts.append("[OPTIONS]") }
        if let rest { parts.append("[-- \(rest)…]") }
        return parts.joined(separator: " ")
    }
}

struct Argument: Hashable, Sendable {
    let name: String
    var isOptional = false
}

/// `--name VALUE` or, without a value, `--name`.
struct Option: Hashable, Sendable {
    let name: String
    /// What the help calls the value; nil for a flag.
    var value: String?
    /// The only values there are; empty when any text will do.
    var choices: [String] = []
    let help: String

    var synopsis: String { value.map { "--\(name) \($0)" } ?? "--\(name)" }
}
