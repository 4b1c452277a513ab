import OmniCore
import OmniIO

/// Scripts for shells that complete commands and options, made from the table of commands.
enum ShellCompletion {
    static let shells = ["bash", "zsh"]

    @Sendable
    static func run(
        _ invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> Reply {
        let shell = invocation[argument: "SHELL"]
        let script: String
        switch shell {
        case "bash": script = bash
        case "zsh":
            script = "#compdef omni2ctl\nautoload -U +X bashcompinit && bashcompinit\n" + bash
        default:
            throw .usage("SHELL is one of \(shells.joined(separator: ", ")), not \(shell)")
        }
        return Reply(["script": .string(script)]) { _ in script }
    }

    /// What may follow which words: the commands word by word, then the options of the one.
    private static var bash: String {
        var lines = [
            "# Completion for omni2ctl; made by omni2ctl completion.", "_omni2ctl() {",
            "    local words=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" offers",
            "    case \" $words\" in",
        ]
        for command in CommandTable.commands.sorted(by: { $0.words.count > $1.words.count }) {
            let options = (command.options + CommonOptions.declared).map { "--\($0.name)" }
            lines.append(
                "    \" \(command.name)\"*) offers=\"\(options.joined(separator: " "))\" ;;")
        }
        for family in families where !family.verbs.isEmpty {
            lines.append(
                "    \" \(family.word)\") offers=\"\(family.verbs.joined(separator: " "))\" ;;")
        }
        lines.append("    *) offers=\"\(families.map(\.word).joined(separator: " "))\" ;;")
        lines += [
            "    esac",
            "    COMPREPLY=($(compgen -W \"$offers\" -- \"${COMP_WORDS[COMP_CWORD]}\"))",
            "}", "complete -o default -F _omni2ctl omni2ctl",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private static var families: [(word: String, verbs: [String])] {
        var families: [(word: String, verbs: [String])] = []
        for command in CommandTable.commands {
            let word = command.words[0]
            let verbs = Array(command.words.dropFirst())
            if let index = families.firstIndex(where: { $0.word == word }) {
                families[index].verbs += verbs
            } else {
                families.append((word, verbs))
            }
        }
        return families
    }
}
