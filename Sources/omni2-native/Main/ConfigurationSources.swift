import OmniIO

/// Everything a setting can come from, and which of it wins: environment, then credential, then
/// the files' last word, then the default.
struct ConfigurationSources {
    /// Where one key's value comes from.
    enum Origin: Hashable {
        case `default`
        /// In the order of the files. Single values take the last one, lists all of them.
        case assignments([Assigned])
        case environment(variable: String, text: String)
        case credential(name: String, Secret)

        struct Assigned: Hashable {
            var value: String
            var place: String
        }

        /// What a person looks for: file and line, variable or credential.
        var place: String {
            switch self {
            case .default: "default"
            case .assignments(let list): list.last?.place ?? "default"
            case .environment(let variable, _): "environment \(variable)"
            case .credential(let name, _): "credential \(name)"
            }
        }
    }

    var environment: Environment = [:]
    var credentials: [String: Secret] = [:]
    var headers: [ConfigurationFile.Header] = []
    var assigned: [String: [Origin.Assigned]] = [:]
    /// In the order of the files, for the report on keys that nobody knows.
    var assignments: [ConfigurationFile.Assignment] = []
    /// Overrules everything: how a reload keeps what only a restart can change.
    var kept: [String: Origin] = [:]

    init() {}

    init(
        location: ConfigurationLocation, environment: Environment, credentials directory: String?,
        credentialsMayBeClosed: Bool = false, problems: inout [ConfigurationProblem]
    ) {
        self.environment = environment
        for file in location.read(problems: &problems) {
            headers += file.headers
            assignments += file.assignments
        }
        for one in assignments {
            assigned[Self.name(one.section, one.key), default: []].append(
                Origin.Assigned(value: one.value, place: one.place))
        }
        if let directory {
            readCredentials(
                in: directory, mayBeClosed: credentialsMayBeClosed, problems: &problems)
        }
    }

    func origin(_ section: String, _ key: String, credential: String? = nil) -> Origin {
        let name = Self.name(section, key)
        if let origin = kept[name] { return origin }
        for variable in ConfigurationNames.variables(section, key) {
            if let text = environment.variables[variable] {
                return .environment(variable: variable, text: text)
            }
        }
        if let credential, let secret = credentials[credential] {
            return .credential(name: credential, secret)
        }
        if let list = assigned[name] { return .assignments(list) }
        return .default
    }

    static func name(_ section: String, _ key: String) -> String { "[\(section)] \(key)=" }

    /// Longer credentials are refused; a key or a token is far below.
    static let credentialBytesMax = 64 << 10

    private mutating func readCredentials(
        in directory: String, mayBeClosed: Bool, problems: inout [ConfigurationProblem]
    ) {
        func report(_ place: String, _ what: String) {
            problems.append(
                ConfigurationProblem(
                    place: place, subject: "", what: what,
                    remedy: "check LoadCredential= of the unit"))
        }
        let names: [String]
        do throws(SystemError) {
            names = try Files.names(in: directory)
        } catch {
            if mayBeClosed && error.isDenied { return }
            return report(directory, error.message)
        }
        for name in names {
            let path = "\(directory)/\(name)"
            do throws(Files.ReadError) {
                let bytes = try Files.read(path, bytesMax: Self.credentialBytesMax)
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    report(path, "not UTF-8 text")
                    continue
                }
                credentials[name] = Secret(Self.withoutFinalNewline(text))
            } catch {
                report(path, error.description)
            }
        }
    }

    /// An editor's newline at the end is not part of a password.
    private static func withoutFinalNewline(_ text: String) -> String {
        var text = Substring(text)
        while let last = text.last, last.isNewline { text.removeLast() }
        return String(text)
    }
}
