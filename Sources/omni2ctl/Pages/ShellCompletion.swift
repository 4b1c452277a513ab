import OmniCore
import OmniIO

/// Scripts for shells that complete commands, options and names, made from the table of commands.
/// What the daemon alone knows (servers, tools, users, roles) the script asks `omni2ctl names`.
enum ShellCompletion {
    static let shells = ["bash", "zsh"]

    @Sendable
    static func run(
        _ invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> Reply {
        let shell = invocation[argument: "SHELL"]
        let script: String
        switch shell {
        case "bash": script = ShellScript(.bash).text
        case "zsh": script = ShellScript(.zsh).text
        default:
            throw .usage("SHELL is one of \(shells.joined(separator: ", ")), not \(shell)")
        }
        return Reply(["script": .string(script)]) { _ in script }
    }
}

/// One function for both shells: they differ in how words are found and offers are made.
private struct ShellScript {
    enum Shell { case bash, zsh }

    let shell: Shell

    init(_ shell: Shell) { self.shell = shell }

    var text: String {
        let parts = [head, reading, valueCases, optionCases, wordCases, foot]
        return parts.joined(separator: "\n") + "\n"
    }

    // MARK: The shells' own

    private var head: String {
        switch shell {
        case .bash:
            """
            # Completion for omni2ctl; made by omni2ctl completion bash.
            _omni2ctl_offer() { COMPREPLY=($(compgen -W "$*" -- "$current")); }
            _omni2ctl_files() { compopt -o default; COMPREPLY=(); }
            _omni2ctl_names() {
                local IFS=$'\\n'
                COMPREPLY=($(compgen -W "$(omni2ctl names "$@" "${door[@]}" 2>/dev/null)" -- "$current"))
            }
            _omni2ctl() {
                local current=${COMP_WORDS[COMP_CWORD]} line word i=1
                local -a given=("${COMP_WORDS[@]:0:COMP_CWORD}") plain=() door=()
            """
        case .zsh:
            """
            #compdef omni2ctl
            # Completion for omni2ctl; made by omni2ctl completion zsh.
            _omni2ctl_offer() { compadd -- "$@"; }
            _omni2ctl_files() { setopt localoptions noksharrays; _files; }
            _omni2ctl_names() {
                compadd -- ${(f)"$(omni2ctl names "$@" "${door[@]}" 2>/dev/null)"}
            }
            _omni2ctl() {
                setopt localoptions ksharrays
                local current=${words[CURRENT-1]} line word i=1
                local -a given=("${words[@]:0:$((CURRENT-1))}") plain=() door=()
            """
        }
    }

    private var foot: String {
        switch shell {
        case .bash: "}\ncomplete -F _omni2ctl omni2ctl"
        case .zsh:
            // As a file of $fpath it is called by its name, as a sourced one it registers itself.
            """
            }
            if [[ $funcstack[1] == _omni2ctl ]]; then _omni2ctl "$@"; else compdef _omni2ctl omni2ctl; fi
            """
        }
    }

    // MARK: What both do

    /// Words that are no options, those that say which daemon, and where we are.
    private var reading: String {
        let valued = Set(options.filter { $0.value != nil }.map { "--\($0.name)" }).sorted()
        let doors = ["--socket", "--host", "--token-file", "--ca-file"]
        return """
                while (( i < ${#given[@]} )); do
                    word=${given[$i]}
                    case "$word" in
                    \(doors.joined(separator: "|"))) door+=("$word" "${given[$((i+1))]}"); i=$((i+1)) ;;
                    \(valued.filter { !doors.contains($0) }.joined(separator: "|"))) i=$((i+1)) ;;
                    -*) ;;
                    *) plain+=("$word") ;;
                    esac
                    i=$((i+1))
                done
                line="${plain[*]}"
            """
    }

    /// The word before is an option that takes a value: `i` went past the end.
    private var valueCases: String {
        var lines = ["    if (( i > ${#given[@]} )); then", "        case \"$word\" in"]
        var seen: Set<String> = []
        for option in options where option.value != nil && seen.insert(option.name).inserted {
            lines.append("        --\(option.name)) \(offer(Placeholder(option))) ;;")
        }
        return (lines + ["        esac", "        return", "    fi"]).joined(separator: "\n")
    }

    private var optionCases: String {
        var lines = ["    if [[ $current == -* ]]; then", "        case \"$line\" in"]
        for command in CommandTable.commands.sorted(by: { $0.words.count > $1.words.count }) {
            let names = (command.options + CommonOptions.declared).map { "--\($0.name)" }
            lines.append(
                "        \"\(command.name)\"*) _omni2ctl_offer \(names.joined(separator: " ")) ;;")
        }
        let common = CommonOptions.declared.map { "--\($0.name)" }.joined(separator: " ")
        return
            (lines + [
                "        *) _omni2ctl_offer \(common) ;;", "        esac", "        return",
                "    fi",
            ])
            .joined(separator: "\n")
    }

    /// By how many words there are and which.
    private var wordCases: String {
        var lines = ["    case \"${#plain[@]} $line\" in"]
        var families: [String] = []
        for command in CommandTable.commands where !families.contains(command.words[0]) {
            families.append(command.words[0])
        }
        lines.append("    \"0 \") _omni2ctl_offer \(families.joined(separator: " ")) ;;")
        for family in families {
            let verbs = CommandTable.commands.filter { $0.words[0] == family }
                .flatMap { $0.words.dropFirst() }
            if verbs.isEmpty { continue }
            lines.append("    \"1 \(family)\") _omni2ctl_offer \(verbs.joined(separator: " ")) ;;")
        }
        for command in CommandTable.commands {
            for (index, argument) in command.arguments.enumerated() {
                let pattern =
                    index == 0
                    ? "\"\(command.words.count) \(command.name)\""
                    : "\"\(command.words.count + index) \(command.name) \"*"
                lines.append("    \(pattern)) \(offer(Placeholder(argument.name))) ;;")
            }
        }
        return (lines + ["    esac"]).joined(separator: "\n")
    }

    private func offer(_ placeholder: Placeholder) -> String {
        switch placeholder {
        case .words(let words): "_omni2ctl_offer \(words.joined(separator: " "))"
        case .names(let kind): "_omni2ctl_names \(kind)"
        // The server is the word before.
        case .tools: "_omni2ctl_names tools \"${plain[$((${#plain[@]}-1))]}\""
        case .file: "_omni2ctl_files"
        case .text: ":"
        }
    }

    private var options: [Option] {
        CommandTable.commands.flatMap(\.options) + CommonOptions.declared
    }
}
