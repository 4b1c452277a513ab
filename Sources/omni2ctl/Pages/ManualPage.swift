import OmniCore
import OmniIO

/// The manual page omni2ctl(1), made from the table of commands. The copy in `docs/man` is what
/// `omni2ctl manual` prints; a test compares them.
enum ManualPage {
    @Sendable
    static func run(
        _ invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> Reply {
        let text = page
        return Reply(["page": .string(text)]) { _ in text }
    }

    static var page: String {
        var lines = [
            #".TH OMNI2CTL 1 "" "omni2-native" "User commands""#, ".SH NAME",
            #"omni2ctl \- operate the MCP gateway omni2\-native"#, ".SH SYNOPSIS",
            ".B omni2ctl", ".I COMMAND", ".RI [ ARGUMENTS ]", ".RI [ OPTIONS ]", ".SH DESCRIPTION",
        ]
        lines += description.map(escaped)
        lines.append(".SH COMMANDS")
        for command in CommandTable.commands { lines += entry(command) }
        lines += [".SH OPTIONS", "All commands take these."]
        for option in CommonOptions.declared { lines += entry(option) }
        lines.append(".SH EXIT STATUS")
        for meaning in ExitStatus.meanings {
            lines += [".TP", ".B \"\(meaning.status)\"", sentence(meaning.text)]
        }
        lines.append(".SH ENVIRONMENT")
        for (name, text) in environment { lines += [".TP", ".B \"\(name)\"", escaped(text)] }
        lines.append(".SH FILES")
        for (name, text) in files { lines += [".TP", ".B \(escaped(name))", escaped(text)] }
        lines += [".SH EXAMPLES", ".nf"] + examples.map(escaped)
        lines += [
            ".fi", ".SH SEE ALSO", #".BR omni2\-native (8),"#, ".BR omni2.conf (5),",
            #".BR omni2\-cache (1),"#, ".BR systemctl (1)",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: What the table does not say

    private static let description = [
        "Talks to the daemon over its Unix socket, which root, the daemon's own user and members of the",
        "group omni2-admin may use without a token, or with a token to a daemon elsewhere.",
        "What is asked for goes to standard output, everything else to standard error.",
        "With --json an error is a text on standard error, too; a check or a tool that turns out badly",
        "prints its reply as well.", ".PP",
        "On a terminal there are colours, lines are cut to its width (--full leaves them whole), and",
        "what is longer than it is shown by a pager. What takes longer than a second says what it is",
        "waiting for. Scripts and pipes see none of that.",
    ]

    private static let environment: [(name: String, text: String)] = [
        ("OMNI2_TOKEN", "The token for --host. The Unix socket is used without it."),
        ("RUNTIME_DIRECTORY", "Where admin.sock is, instead of /run/omni2."),
        ("NO_COLOR", "Set to anything, there are no colours."),
        ("OMNI2_PAGER, PAGER", "The pager, less without them; empty or cat: none."),
        ("VISUAL, EDITOR", "What mcp edit opens."),
    ]

    private static let files: [(name: String, text: String)] = [
        ("/run/omni2/admin.sock", "The daemon's socket for administrators."),
        (
            "/etc/systemd/system/omni2-mcp@NAME.service.d/omni2ctl.conf",
            "The command of a server that mcp add --command made a unit of."
        ),
    ]

    private static let examples = [
        "omni2ctl mcp add docs --url https://docs.example.org/mcp --bearer-file /etc/omni2/docs.token",
        "omni2ctl mcp add time --command mcp-server-time -- --local-timezone=UTC",
        "omni2ctl tools call time get_current_time '{\"timezone\": \"UTC\"}'",
        "omni2ctl watch --server docs --severity high",
        "omni2ctl flows monitor ann --hours 2 && omni2ctl flows watch ann",
        "omni2ctl status --json --host https://gateway.example.org --token-file token",
        "omni2ctl doctor",
    ]

    // MARK: Entries

    private static func entry(_ command: Command) -> [String] {
        var lines = [".TP", ".B \"\(escaped(command.synopsis))\"", sentence(command.summary)]
        if !command.detail.isEmpty { lines += [".IP", escaped(command.detail)] }
        if !command.options.isEmpty {
            lines += [".RS"] + command.options.flatMap(entry) + [".RE"]
        }
        return lines
    }

    private static func entry(_ option: Option) -> [String] {
        let choices = option.choices.joined(separator: ", ")
        return [
            ".TP", ".B \"\(escaped(option.synopsis))\"",
            sentence(choices.isEmpty ? option.help : "\(option.help): \(choices)"),
        ]
    }

    private static func sentence(_ text: String) -> String {
        escaped(text.prefix(1).uppercased() + text.dropFirst() + ".")
    }

    /// What means something to troff, and what it would draw otherwise.
    private static func escaped(_ text: String) -> String {
        if text == ".PP" { return text }
        var result = ""
        for character in text {
            switch character {
            case "\\": result += #"\e"#
            case "-": result += #"\-"#
            case "'": result += #"\(aq"#
            case "\"": result += #"\(dq"#
            case "…": result += #"\[u2026]"#
            default: result.append(character)
            }
        }
        return result
    }
}
