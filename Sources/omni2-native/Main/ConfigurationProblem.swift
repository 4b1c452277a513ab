/// One thing that is wrong with the configuration: where, what, and what to do about it.
struct ConfigurationProblem: Hashable, Sendable, CustomStringConvertible {
    /// `/etc/omni2/omni2.conf:12`, `environment`, or a directory.
    var place: String
    /// `[Cache] MaxEntires=`, or empty where no key is concerned.
    var subject: String
    var what: String
    var remedy: String

    var description: String {
        let about = subject.isEmpty ? "" : "\(subject): "
        return "\(place): \(about)\(what); \(remedy)"
    }
}

/// Everything that is wrong, found in one pass, so that one edit repairs it.
struct ConfigurationError: Error, CustomStringConvertible {
    var problems: [ConfigurationProblem]

    var description: String { problems.map(\.description).joined(separator: "\n") }
}
