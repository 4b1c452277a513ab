/// The help, made from the table of commands.
enum Help {
    private static let width = 79

    /// On everything, on a family of commands, or on one.
    static func text(on topic: [String]) -> String {
        let commands = CommandTable.commands.filter { $0.words.starts(with: topic) }
        if topic.isEmpty { return overview }
        if commands.count == 1, commands[0].words == topic { return page(commands[0]) }
        return "usage: omni2ctl \(topic.joined(separator: " ")) COMMAND\n\n" + list(commands)
    }

    private static var overview: String {
        """
        usage: omni2ctl COMMAND [ARGUMENTS] [OPTIONS]

        Operates the MCP gateway omni2-native.

        Commands:
        \(list(CommandTable.commands))
        Options of all commands:
        \(options(CommonOptions.declared))
        Exit status:
        \(statuses)
        omni2ctl COMMAND --help says more about one.

        """
    }

    private static func page(_ command: Command) -> String {
        var text = "usage: omni2ctl \(command.synopsis)\n\n\(command.summary)\n"
        if !command.detail.isEmpty { text += "\n\(wrapped(command.detail, indent: 0))\n" }
        if !command.options.isEmpty { text += "\nOptions:\n\(options(command.options))" }
        return text
    }

    private static func list(_ commands: [Command]) -> String {
        let column = (commands.map { $0.synopsis.count }.max() ?? 0) + 4
        return commands.map { command in
            line(command.synopsis, command.summary, column: column)
        }.joined()
    }

    private static func options(_ options: [Option]) -> String {
        options.map { option in
            let choices = option.choices.joined(separator: ", ")
            let help = choices.isEmpty ? option.help : "\(option.help): \(choices)"
            return line(option.synopsis, help, column: 24)
        }.joined()
    }

    private static func line(_ head: String, _ text: String, column: Int) -> String {
        let body = wrapped(text, indent: column).drop { $0 == " " }
        if head.count + 4 > column { return "  \(head)\n\(Words.spaces(column))\(body)\n" }
        return "  \(head)\(Words.spaces(column - head.count - 2))\(body)\n"
    }

    private static var statuses: String {
        ExitStatus.meanings.map { line("\($0.status)", $0.text, column: 8) }.joined()
    }

    private static func wrapped(_ text: String, indent: Int) -> String {
        var lines: [String] = []
        var line = Words.spaces(indent)
        for word in text.split(separator: " ") {
            if line.count + 1 + word.count > width, !line.allSatisfy({ $0 == " " }) {
                lines.append(line)
                line = Words.spaces(indent)
            }
            line += (line.count == indent ? "" : " ") + word
        }
        return (lines + [line]).joined(separator: "\n")
    }
}
