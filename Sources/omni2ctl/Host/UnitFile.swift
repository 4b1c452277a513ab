import OmniIO

/// What `mcp add --command` writes for a stdio server: the drop-in of its unit `omni2-mcp@NAME`.
struct UnitFile: Sendable, Equatable {
    var program: String
    var arguments: [String] = []
    /// Lets it reach the network.
    var hasNetwork = false
    /// One of the operator's.
    var environmentFile: String?
    /// Goes into a file of its own that only root reads: often there are secrets in it.
    var environment: [String: String] = [:]
    var memoryMax: String?
    var cpuQuota: String?

    /// The drop-in; its variables are at `variablesPath`.
    func text(variablesPath: String) -> String {
        let words = [program] + arguments
        var lines = [
            "# Written by omni2ctl mcp add; omni2ctl mcp remove takes it away. What the server needs",
            "# besides belongs into another file beside this one.", "[Service]", "ExecStart=",
            "ExecStart=:/usr/bin/omni2ctl stdio -- "
                + words.map(Self.quoted).joined(separator: " "),
        ]
        if let environmentFile { lines.append("EnvironmentFile=" + Self.escaped(environmentFile)) }
        if !environment.isEmpty { lines.append("EnvironmentFile=" + Self.escaped(variablesPath)) }
        if hasNetwork { lines += ["PrivateNetwork=no", "IPAddressDeny=", "IPAddressAllow=any"] }
        if let memoryMax { lines.append("MemoryMax=\(memoryMax)") }
        if let cpuQuota { lines.append("CPUQuota=\(cpuQuota)") }
        return lines.joined(separator: "\n") + "\n"
    }

    var variables: String {
        environment.sorted { $0.key < $1.key }.map { name, value in
            var text = "\(name)=\""
            for character in value {
                if "\"\\$`".contains(character) { text += "\\" }
                text.append(character)
            }
            return text + "\"\n"
        }.joined()
    }

    /// One word of a command line, whatever is in it. The colon in front of the command keeps systemd
    /// from looking for variables.
    static func quoted(_ word: String) -> String {
        var text = "\""
        for scalar in escaped(word).unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\\(scalar)"
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }

    /// systemd replaces `%i` and the like.
    private static func escaped(_ text: String) -> String {
        text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
    }

    /// Where a program is that a unit shall start; its own sandbox hides homes and has its own /tmp.
    static func find(_ program: String, _ environment: Environment) throws(Failure) -> String {
        let path: String
        if program.contains("/") {
            guard program.hasPrefix("/") else {
                throw .usage("--command is a name or a whole path, not \(program)")
            }
            path = program
        } else {
            let places = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin")
                .split(separator: ":").map { "\($0)/\(program)" }
            guard let found = places.first(where: Files.exists) else {
                throw .failed("there is no program \(program) in $PATH")
            }
            path = found
        }
        guard Files.exists(path), !Files.isDirectory(path) else {
            throw .failed("there is no program \(path)")
        }
        for hidden in ["/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"]
        where path.hasPrefix(hidden) {
            throw .failed(
                "\(path) is in \(hidden), which the server's unit does not see; install it below "
                    + "/opt or /usr/local")
        }
        return path
    }
}
