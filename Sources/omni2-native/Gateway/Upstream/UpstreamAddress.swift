import OmniCore
import OmniIO

/// Where a registered server is and how it is reached, out of its row.
enum UpstreamAddress: Equatable {
    case http(url: String)
    /// The form of 2024-11-05: GET names the place to POST to.
    case eventStream(url: String)
    case child(ChildProcess.Command)
    /// A stdio server that is a unit of systemd's: the socket of `omni2-mcp@NAME.socket`.
    case unit(path: String)

    /// `unitSockets`: where stdio servers are units, nil where they are children.
    ///
    /// - Throws: `transport` with what is wrong with the row.
    init(
        _ configuration: ServerConfiguration, environment: Environment, unitSockets: String? = nil
    ) throws(UpstreamError) {
        let url = configuration.url
        if configuration.transport == "stdio" || url.hasPrefix("stdio:") {
            if let unitSockets {
                self = .unit(path: try Self.socket(configuration.name, in: unitSockets))
                return
            }
            self = .child(try Self.command(configuration, environment))
            return
        }
        guard let split = SplitURL(url) else {
            throw .transport("the server's URL is not an http, https or http+unix URL")
        }
        let isEventStream =
            configuration.transport == "sse" || split.path.hasSuffix("/sse")
        if split.path.isEmpty || split.path == "/" {
            let path = isEventStream ? "/sse" : "/mcp"
            let full = split.origin + path + split.query
            self = isEventStream ? .eventStream(url: full) : .http(url: full)
        } else {
            self = isEventStream ? .eventStream(url: url) : .http(url: url)
        }
    }

    private static func socket(
        _ name: String, in directory: String
    ) throws(UpstreamError) -> String {
        guard !name.contains("/"), !name.hasPrefix(".") else {
            throw .transport("\(name) cannot be the name of a unit; choose one without a slash")
        }
        return "\(directory)/\(name).sock"
    }

    /// `stdio` of `meta_data`, or the words after `stdio:` in the URL.
    private static func command(
        _ configuration: ServerConfiguration, _ environment: Environment
    ) throws(UpstreamError) -> ChildProcess.Command {
        let meta = try? JSONValue(parsing: Array(configuration.metaData.utf8))
        let stdio = meta?["stdio"]
        var words = stdio?["args"]?.strings ?? []
        if let program = stdio?["command"]?.string {
            words.insert(program, at: 0)
        } else if configuration.url.hasPrefix("stdio:") {
            let text = configuration.url.dropFirst("stdio:".count)
            words = text.split(separator: " ").map(String.init) + words
        }
        guard let program = words.first, !program.isEmpty else {
            throw .transport("the server has no command: meta_data.stdio.command is missing")
        }
        var command = ChildProcess.Command(program, Array(words.dropFirst()))
        command.directory = stdio?["cwd"]?.string
        command.environment = inherited(environment)
        for (name, value) in stdio?["env"]?.object?.members ?? [] {
            command.environment[name] = value.string ?? value.text
        }
        return command
    }

    /// Variables a program needs to feel at home; nothing else of ours is its business.
    private static let inheritedNames: Set<String> = [
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE",
        "TZ", "TMPDIR", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR",
    ]

    private static func inherited(_ environment: Environment) -> [String: String] {
        environment.variables.filter { inheritedNames.contains($0.key) }
    }
}

/// A URL cut where the rules about paths need it.
struct SplitURL: Equatable {
    /// Up to the path, without a slash at the end.
    var origin: String
    var path: String
    /// With its question mark; empty when there is none.
    var query: String

    init?(_ url: String) {
        let schemes = ["http://", "https://", "http+unix://"]
        guard let scheme = schemes.first(where: { url.lowercased().hasPrefix($0) }) else {
            return nil
        }
        let rest = url.dropFirst(scheme.count).prefix { $0 != "#" }
        let host = rest.prefix { $0 != "/" && $0 != "?" }
        guard !host.isEmpty else { return nil }
        let tail = rest.dropFirst(host.count)
        let path = tail.prefix { $0 != "?" }
        origin = String(url.prefix(scheme.count) + host)
        self.path = String(path)
        query = String(tail.dropFirst(path.count))
    }

    /// What a server's reference to another place means; nil when it leaves the origin.
    func resolve(_ reference: String) -> String? {
        if let other = SplitURL(reference) {
            return other.origin.lowercased() == origin.lowercased() ? reference : nil
        }
        if reference.hasPrefix("//") { return nil }
        if reference.hasPrefix("/") { return origin + reference }
        if reference.hasPrefix("?") { return origin + path + reference }
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        return origin + folder + reference
    }
}

extension ServerConfiguration.Authentication {
    /// What every request carries.
    var headers: [HTTPClientRequest.Header] {
        switch self {
        case .none: []
        case .bearer(let token): [.init("Authorization", "Bearer \(token)")]
        case .apiKey(let header, let key): [.init(header, key)]
        case .headers(let headers): headers.map { .init($0.name, $0.value) }
        // Nobody gets here: tokens are fetched, and what cannot be read is not connected to.
        case .oauth, .unreadable: []
        }
    }
}
