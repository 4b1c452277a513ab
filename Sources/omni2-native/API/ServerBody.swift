import OmniCore

/// A server as the API takes it: the members of the original's create and update bodies, checked.
///
/// Every mistake is named with its member. Members that are absent keep what `base` says.
struct ServerBody {
    struct Problem: Error {
        let message: String
    }

    private(set) var configuration: ServerConfiguration

    static let transports = ["http", "sse", "http-streamable", "http_streamable", "stdio"]

    /// A new server: `name` and an address are needed.
    init(creating body: JSONValue) throws(Problem) {
        configuration = ServerConfiguration(name: "", url: "")
        try read(body)
        guard !configuration.name.isEmpty else { throw Problem(message: "name is missing") }
        guard !configuration.url.isEmpty else {
            throw Problem(message: "url is missing (or command, for protocol stdio)")
        }
    }

    init(updating base: ServerConfiguration, with body: JSONValue) throws(Problem) {
        configuration = base
        try read(body)
    }

    private mutating func read(_ body: JSONValue) throws(Problem) {
        guard body.object != nil else { throw Problem(message: "the body must be an object") }
        if let value = body["name"] { configuration.name = try Self.name(value) }
        if let value = body["description"] { configuration.description = value.string }
        if let value = body["status"] {
            configuration.status = try Self.choice("status", value, ["active", "inactive"])
        }
        if let value = body["enabled"] {
            guard let flag = value.bool else {
                throw Problem(message: "enabled must be true or false")
            }
            configuration.status = flag ? "active" : "inactive"
        }
        if let value = body["protocol"] {
            configuration.transport = try Self.choice("protocol", value, Self.transports)
        }
        try readNumbers(body)
        try readMetaData(body)
        try readAddress(body)
        try readAuthentication(body)
    }

    private static func name(_ value: JSONValue) throws(Problem) -> String {
        guard let text = value.string, !text.isEmpty, text.unicodeScalars.count <= 100,
            text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F })
        else {
            throw Problem(message: "name must be a text of 1 to 100 printable characters")
        }
        return text
    }

    private static func choice(
        _ member: String, _ value: JSONValue, _ allowed: [String]
    ) throws(Problem) -> String {
        guard let text = value.string, allowed.contains(text) else {
            throw Problem(message: "\(member) must be one of \(allowed.joined(separator: ", "))")
        }
        return text
    }

    private mutating func readNumbers(_ body: JSONValue) throws(Problem) {
        if let value = body["timeout_seconds"] {
            configuration.timeoutSeconds = try Self.number("timeout_seconds", value, 5...300)
        }
        if let value = body["max_retries"] {
            configuration.maxRetries = try Self.number("max_retries", value, 1...10)
        }
        if let value = body["max_failure_cycles"] {
            configuration.maxFailureCycles = try Self.number("max_failure_cycles", value, 1...1000)
        }
        if let value = body["retry_delay_seconds"] {
            guard let seconds = value.double, (0...60).contains(seconds) else {
                throw Problem(message: "retry_delay_seconds must be a number from 0 to 60")
            }
            configuration.retryDelaySeconds = seconds
        }
        if let value = body["can_auto_enable"] {
            guard let flag = value.bool else {
                throw Problem(message: "can_auto_enable must be true or false")
            }
            configuration.canAutoEnable = flag
        }
    }

    private static func number(
        _ member: String, _ value: JSONValue, _ range: ClosedRange<Int64>
    ) throws(Problem) -> Int {
        guard let number = value.int, range.contains(number) else {
            throw Problem(
                message: "\(member) must be a whole number from \(range.lowerBound) to "
                    + "\(range.upperBound)")
        }
        return Int(number)
    }

    /// `meta_data` as a whole, or its parts: `omni2`, `command` with `args`, `env`, `cwd`.
    private mutating func readMetaData(_ body: JSONValue) throws(Problem) {
        var meta = Self.object(configuration.metaData)
        if let value = body["meta_data"], !value.isNull {
            guard value.object != nil else { throw Problem(message: "meta_data must be an object") }
            meta = value
        }
        if let value = body["omni2"] { meta["omni2"] = value }
        if let command = body["command"] {
            meta["stdio"] = try Self.stdio(command, body)
            configuration.transport = "stdio"
        }
        do throws(CacheRules.Problem) {
            _ = try CacheRules(meta["omni2"])
        } catch {
            throw Problem(message: error.description)
        }
        do throws(UpstreamSettings.Problem) {
            if let omni2 = meta["omni2"], !omni2.isNull { _ = try UpstreamSettings(omni2) }
        } catch {
            throw Problem(message: error.description)
        }
        configuration.metaData = meta.text
    }

    private static func object(_ text: String) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue(parsing: text)
        } catch {
            // The row's own text is broken: what is written now replaces it.
            return [:]
        }
    }

    private static func stdio(_ command: JSONValue, _ body: JSONValue) throws(Problem) -> JSONValue
    {
        guard let path = command.string, !path.isEmpty else {
            throw Problem(message: "command must be a text")
        }
        var stdio: JSONValue = ["command": .string(path)]
        if let value = body["args"], !value.isNull {
            guard let args = value.strings, args.count == value.array?.count else {
                throw Problem(message: "args must be a list of texts")
            }
            stdio["args"] = JSONValue(args)
        }
        if let value = body["env"], !value.isNull {
            guard let object = value.object,
                object.members.allSatisfy({ $0.value.string != nil })
            else { throw Problem(message: "env must be an object of texts") }
            stdio["env"] = value
        }
        if let value = body["cwd"], !value.isNull {
            guard value.string != nil else { throw Problem(message: "cwd must be a text") }
            stdio["cwd"] = value
        }
        return stdio
    }

    private mutating func readAddress(_ body: JSONValue) throws(Problem) {
        if let value = body["url"] {
            guard let text = value.string, text.utf8.count <= 500, !text.isEmpty else {
                throw Problem(message: "url must be a text of 1 to 500 characters")
            }
            configuration.url = text
        }
        let stdio = Self.object(configuration.metaData)["stdio"]?["command"]?.string
        if configuration.transport == "stdio" {
            guard let stdio else {
                throw Problem(message: "protocol stdio needs command (and args, env)")
            }
            configuration.url = "stdio:" + stdio
        } else if body["url"] != nil || body["protocol"] != nil {
            try Self.checkURL(configuration.url)
        }
    }

    private static let unixScheme = "http+unix://%2F"

    /// `http://host[:port][/path]`, or https, or http+unix with an encoded path as the host.
    private static func checkURL(_ text: String) throws(Problem) {
        let problem = Problem(
            message: "url must be http://host[:port]/path or https://…, not \(text.prefix(100))")
        var rest: Substring
        if text.hasPrefix("http://") {
            rest = text.dropFirst(7)
        } else if text.hasPrefix("https://") {
            rest = text.dropFirst(8)
        } else if text.hasPrefix(Self.unixScheme) {
            rest = text.dropFirst(Self.unixScheme.count)
        } else {
            throw problem
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw problem }
        if text.hasPrefix(Self.unixScheme) { return }
        rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        var host = rest
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            host = rest[...end]
            rest = rest[rest.index(after: end)...]
        } else if let colon = rest.lastIndex(of: ":") {
            host = rest[..<colon]
            rest = rest[colon...]
        } else {
            rest = ""
        }
        guard !host.isEmpty else { throw problem }
        if rest.hasPrefix(":") {
            guard let port = Int(rest.dropFirst()), (1...65_535).contains(port) else {
                throw problem
            }
        }
    }

    private mutating func readAuthentication(_ body: JSONValue) throws(Problem) {
        guard body["auth_type"] != nil || body["auth_config"] != nil else { return }
        let type: String?
        if let value = body["auth_type"] {
            if value.isNull {
                configuration.authentication = .none
                return
            }
            type = try Self.choice(
                "auth_type", value, ["bearer", "api_key", "custom_headers", "oauth2"])
        } else {
            type = configuration.authentication.word
        }
        guard let options = body["auth_config"], options.object != nil else {
            throw Problem(message: "auth_config must be an object that goes with auth_type")
        }
        guard let type else { throw Problem(message: "auth_config needs auth_type") }
        configuration.authentication = try Self.authentication(type, options)
    }

    private static func authentication(
        _ type: String, _ options: JSONValue
    ) throws(Problem) -> ServerConfiguration.Authentication {
        switch type {
        case "bearer":
            guard let token = (options["token"] ?? options["api_key"])?.string,
                isHeaderValue(token), !token.isEmpty
            else { throw Problem(message: "auth_config.token must be a text on one line") }
            return .bearer(token: token)
        case "api_key":
            guard let key = options["api_key"]?.string, isHeaderValue(key), !key.isEmpty else {
                throw Problem(message: "auth_config.api_key must be a text on one line")
            }
            let header = options["header_name"]?.string ?? "X-API-Key"
            guard isHeaderName(header) else {
                throw Problem(message: "auth_config.header_name is not the name of a header")
            }
            return .apiKey(header: header, key: key)
        case "oauth2":
            guard let client = ServerConfiguration.OAuthClient(options) else {
                throw Problem(
                    message: "auth_config needs token_url (http or https), client_id and "
                        + "client_secret")
            }
            return .oauth(client)
        default:
            guard let headers = options["headers"]?.object, !headers.isEmpty else {
                throw Problem(message: "auth_config.headers must be an object of texts")
            }
            var list: [ServerConfiguration.Header] = []
            for (name, value) in headers.members {
                guard isHeaderName(name), let text = value.string, isHeaderValue(text) else {
                    throw Problem(
                        message: "auth_config.headers: \(name.prefix(40)) is not a header")
                }
                list.append(.init(name: name, value: text))
            }
            return .headers(list)
        }
    }

    static func isHeaderName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 200
            && text.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && !"()<>@,;:\\\"/[]?={}".utf8.contains(byte)
            }
    }

    static func isHeaderValue(_ text: String) -> Bool {
        text.utf8.count <= 8192 && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 9 }
    }
}

extension ServerConfiguration.Authentication {
    /// The word of the column `auth_type`.
    var word: String? {
        switch self {
        case .none: nil
        case .bearer: "bearer"
        case .apiKey: "api_key"
        case .headers: "custom_headers"
        case .oauth: "oauth2"
        case .unreadable(let word, _): word
        }
    }
}
