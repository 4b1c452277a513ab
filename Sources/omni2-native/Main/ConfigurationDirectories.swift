import OmniIO

/// Where the daemon keeps things: what systemd says in `$STATE_DIRECTORY`, `$RUNTIME_DIRECTORY` and
/// `$CREDENTIALS_DIRECTORY`; the XDG directories where it says nothing.
struct ConfigurationDirectories: Sendable, Hashable {
    /// Survives a reboot: database, tokens.
    var state: String
    /// Gone after one: sockets.
    var runtime: String
    var credentials: String?

    init(state: String, runtime: String, credentials: String?) {
        self.state = state
        self.runtime = runtime
        self.credentials = credentials
    }

    init(_ environment: Environment, problems: inout [ConfigurationProblem]) {
        let home = environment["HOME"]
        var missing: [String] = []
        func directory(_ systemd: String, _ xdg: String, _ atHome: String?) -> String {
            if let list = environment[systemd] {
                // systemd joins several with colons; the first is ours.
                return String(list.prefix { $0 != ":" })
            }
            if let base = environment[xdg] { return "\(base)/omni2" }
            if let home, let atHome { return "\(home)/\(atHome)" }
            missing.append("$\(systemd)")
            return ""
        }
        state = directory("STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state/omni2")
        runtime = directory("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", ".local/state/omni2/run")
        credentials = environment["CREDENTIALS_DIRECTORY"]
        for name in missing {
            problems.append(
                ConfigurationProblem(
                    place: "environment", subject: name, what: "is not set, and neither is $HOME",
                    remedy: "set \(name) to a directory the daemon may write to"))
        }
        for (name, path) in [("state", state), ("runtime", runtime)]
        where !path.isEmpty && !path.hasPrefix("/") {
            problems.append(
                ConfigurationProblem(
                    place: "environment", subject: "\(name) directory \(path)",
                    what: "is not an absolute path", remedy: "write it from / on"))
        }
    }
}
