/// What the command line asks for.
///
///     omni2-native [--config FILE] [--check] [--version] [--help]
enum ConfigurationArguments: Hashable, Sendable {
    /// Run in the foreground.
    case run(ConfigurationLocation)
    /// Read the configuration, say what is wrong with it, and end.
    case check(ConfigurationLocation)
    case version
    case help

    struct Failure: Error, Hashable, CustomStringConvertible {
        var description: String
    }

    /// `arguments` without the program's name. An error names the argument and what to write.
    init(_ arguments: some Sequence<String>) throws(Failure) {
        var location = ConfigurationLocation.system()
        var isCheck = false
        var words = arguments.makeIterator()
        while let word = words.next() {
            switch word {
            case "--check": isCheck = true
            case "--version", "-V":
                self = .version
                return
            case "--help", "-h":
                self = .help
                return
            case "--config", "-c":
                guard let path = words.next(), !path.isEmpty else {
                    throw Failure(description: "\(word) needs a file; write --config FILE")
                }
                location = .file(path)
            case _ where word.hasPrefix("--config="):
                location = .file(String(word.dropFirst("--config=".count)))
            default:
                throw Failure(
                    description: "unknown argument \(word); omni2-native --help lists them")
            }
        }
        self = isCheck ? .check(location) : .run(location)
    }

    static let usage = """
        usage: omni2-native [--config FILE] [--check] [--version] [--help]

          --config FILE  read FILE and FILE.d/*.conf instead of /etc/omni2/omni2.conf
          --check        read the configuration, say everything that is wrong with it, and end
          --version      say which version this is
          --help         say this, and list all settings

        Exit status: 0 fine, 64 wrong arguments, 78 wrong configuration, 1 anything else.
        """

    /// The table of settings as `--help` prints it below the usage.
    static func settings(_ rows: [ConfigurationRow]) -> String {
        var text = ""
        var section = ""
        for row in rows {
            if row.section != section {
                section = row.section
                text += "\n[\(section)]\n"
            }
            let bounds = row.bounds.isEmpty ? "" : ", \(row.bounds)"
            let change = row.change == .live ? "" : "; needs a restart"
            text +=
                "  \(row.key)=\(row.defaultText)\n      \(row.help) (\(row.kind)\(bounds)\(change)"
            if let credential = row.credential { text += "; credential \(credential)" }
            text += ")\n"
        }
        return text
    }
}

/// What the process ends with; systemd and scripts act on it.
enum ExitStatus {
    static let success: Int32 = 0
    static let failure: Int32 = 1
    /// EX_USAGE.
    static let usage: Int32 = 64
    /// EX_CONFIG: `RestartPreventExitStatus=` of the unit keeps systemd from trying again.
    static let configuration: Int32 = 78
}
