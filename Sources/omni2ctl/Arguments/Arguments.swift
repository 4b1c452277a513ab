/// What the command line asks for.
enum Arguments: Sendable {
    case run(Invocation)
    /// The words of a command, of a family of commands, or none.
    case help([String])
    case version

    init(_ words: [String]) throws(UsageError) {
        var reader = ArgumentReader()
        try reader.read(words)
        self = try reader.finish()
    }
}

/// Reads the words one after the other: options may stand anywhere, the command's words come first
/// among the others.
private struct ArgumentReader {
    private var plain: [String] = []
    private var values: [(option: String, value: String)] = []
    private var rest: [String]?
    private var wantsHelp = false
    private var wantsVersion = false

    mutating func read(_ words: [String]) throws(UsageError) {
        var words = words[...]
        while let word = words.popFirst() {
            switch word {
            case "--":
                rest = Array(words)
                return
            case "--help", "-h": wantsHelp = true
            case "--version", "-V": wantsVersion = true
            case _ where word.hasPrefix("-") && word.count > 1: try readOption(word, &words)
            default: plain.append(word)
            }
        }
    }

    private mutating func readOption(
        _ word: String, _ words: inout ArraySlice<String>
    ) throws(UsageError) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0].drop { $0 == "-" })
        let known = CommonOptions.declared + CommandTable.commands.flatMap(\.options)
        guard word.hasPrefix("--"), let option = known.first(where: { $0.name == name }) else {
            throw UsageError(message: "there is no option \(parts[0]); see omni2ctl --help")
        }
        guard let value = option.value else {
            guard parts.count == 1 else {
                throw UsageError(message: "--\(name) takes no value")
            }
            return values.append((name, ""))
        }
        let given = parts.count == 2 ? String(parts[1]) : words.popFirst() ?? ""
        guard !given.isEmpty else {
            throw UsageError(message: "--\(name) needs a value; write --\(name) \(value)")
        }
        guard option.choices.isEmpty || option.choices.contains(given) else {
            let choices = option.choices.joined(separator: ", ")
            throw UsageError(message: "--\(name) is one of \(choices), not \(given)")
        }
        values.append((name, given))
    }

    func finish() throws(UsageError) -> Arguments {
        if wantsVersion { return .version }
        if wantsHelp || plain == ["help"] { return .help(try topic(plain)) }
        if plain.first == "help" { return .help(try topic(Array(plain.dropFirst()))) }
        guard !plain.isEmpty else {
            throw UsageError(message: "a command is missing; see omni2ctl --help")
        }
        let command = try command()
        var invocation = Invocation(command: command)
        try take(Array(plain.dropFirst(command.words.count)), into: &invocation)
        for (name, value) in values { try take(option: name, value, into: &invocation) }
        guard invocation.options.host == nil || invocation.options.socket == nil else {
            throw UsageError(message: "--host and --socket name two daemons; leave one out")
        }
        guard invocation.options.token == nil || invocation.options.tokenFile == nil else {
            throw UsageError(message: "--token and --token-file are two tokens; leave one out")
        }
        return .run(invocation)
    }

    /// The longest beginning that the table knows.
    private func topic(_ words: [String]) throws(UsageError) -> [String] {
        guard let first = words.first else { return [] }
        for count in [2, 1] where words.count >= count {
            let beginning = Array(words.prefix(count))
            if CommandTable.commands.contains(where: { $0.words.starts(with: beginning) }) {
                return beginning
            }
        }
        throw UsageError(message: "there is no command \(first); see omni2ctl --help")
    }

    private func command() throws(UsageError) -> Command {
        if let command = CommandTable.commands.first(where: { plain.starts(with: $0.words) }) {
            return command
        }
        let family = CommandTable.commands.filter { $0.words.first == plain.first }
        guard !family.isEmpty else {
            throw UsageError(message: "there is no command \(plain[0]); see omni2ctl --help")
        }
        let verbs = family.compactMap(\.words.last).joined(separator: ", ")
        guard plain.count > 1 else {
            throw UsageError(message: "\(plain[0]) needs one of \(verbs)")
        }
        throw UsageError(message: "there is no \(plain[0]) \(plain[1]); \(plain[0]) has \(verbs)")
    }

    private func take(_ given: [String], into invocation: inout Invocation) throws(UsageError) {
        let command = invocation.command
        for (argument, value) in zip(command.arguments, given) {
            guard !value.isEmpty else {
                throw UsageError(message: "\(argument.name) of \(command.name) is empty")
            }
            invocation.arguments[argument.name] = value
        }
        if given.count > command.arguments.count {
            let extra = given[command.arguments.count]
            throw UsageError(
                message: "\(extra) is one too many; write omni2ctl \(command.synopsis)")
        }
        if let missing = command.arguments.dropFirst(given.count).first, !missing.isOptional {
            throw UsageError(
                message: "\(missing.name) is missing; write omni2ctl \(command.synopsis)")
        }
        guard let rest, !rest.isEmpty else { return }
        guard command.rest != nil else {
            throw UsageError(message: "\(command.name) takes nothing after --")
        }
        invocation.rest = rest
    }

    private func take(
        option name: String, _ value: String, into invocation: inout Invocation
    ) throws(UsageError) {
        switch name {
        case "json": invocation.options.isJSON = true
        case "socket": invocation.options.socket = value
        case "host": invocation.options.host = value
        case "token-file": invocation.options.tokenFile = value
        case "token": invocation.options.token = value
        case "ca-file": invocation.options.authorityFile = value
        case "no-pager": invocation.options.hasPager = false
        case "full": invocation.options.isFull = true
        default:
            let command = invocation.command
            guard command.options.contains(where: { $0.name == name }) else {
                throw UsageError(message: "\(command.name) has no option --\(name)")
            }
            invocation.values[name] = value
        }
    }
}
