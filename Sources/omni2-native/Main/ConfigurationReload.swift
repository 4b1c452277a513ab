import OmniIO

/// What a reload found: settings that are in force from now on, and settings that wait for a restart.
struct ConfigurationChanges: Hashable, Sendable {
    struct Change: Hashable, Sendable {
        /// `[Cache] TTLSec=`
        var name: String
        /// Secrets masked.
        var before: String
        var after: String
    }

    var live: [Change] = []
    var needsRestart: [Change] = []

    var isEmpty: Bool { live.isEmpty && needsRestart.isEmpty }
}

extension Configuration {
    /// The configuration to go on with after a reload: `new` where that is possible while running,
    /// this one everywhere else. The changes say which is which.
    ///
    /// `liveSections`: those whose services take new settings while they run; nil: all.
    ///
    /// Throws where the new live settings contradict the old ones that stay.
    func reloaded(
        as new: Configuration, liveSections: Set<String>? = nil
    ) throws(ConfigurationError) -> (Configuration, ConfigurationChanges) {
        var changes = ConfigurationChanges()
        var sources = ConfigurationSources()
        for (old, new) in zip(rows, new.rows) {
            let isChanged = !old.hasSameValue(as: new)
            let change = ConfigurationChanges.Change(
                name: old.name, before: old.text, after: new.text)
            if old.change == .live, liveSections?.contains(old.section) ?? true {
                sources.kept[old.name] = new.origin
                if isChanged { changes.live.append(change) }
            } else {
                sources.kept[old.name] = old.origin
                if isChanged { changes.needsRestart.append(change) }
            }
        }
        var next = try Configuration(sources, directories, problems: [])
        next.location = location
        return (next, changes)
    }
}

extension ConfigurationRow {
    /// Masked texts look alike: secrets are compared by what they are.
    func hasSameValue(as other: ConfigurationRow) -> Bool {
        if text != other.text { return false }
        return credential == nil || origin.secretText == other.origin.secretText
    }
}

extension ConfigurationSources.Origin {
    fileprivate var secretText: Secret? {
        switch self {
        case .default: nil
        case .assignments(let list): list.last.map { Secret($0.value) }
        case .environment(_, let text): Secret(text)
        case .credential(_, let secret): secret
        }
    }
}
