import OmniIO

extension ConfigurationSources {
    /// What was written for keys that do not exist, each with the name that was probably meant.
    func unknownNames(_ rows: [ConfigurationRow]) -> [ConfigurationProblem] {
        var sections: [String] = []
        var keys: [String: [String]] = [:]
        for row in rows {
            if keys[row.section] == nil { sections.append(row.section) }
            keys[row.section, default: []].append(row.key)
        }
        return unknownSections(sections) + unknownKeys(keys) + unknownVariables(rows)
    }

    /// `X-…` is anybody's, as in every file of systemd's format.
    private func unknownSections(_ known: [String]) -> [ConfigurationProblem] {
        headers.filter { !known.contains($0.section) && !$0.section.hasPrefix("X-") }.map {
            ConfigurationProblem(
                place: $0.place, subject: "[\($0.section)]", what: "unknown section",
                remedy: suggestion($0.section, known) { "[\($0)]" })
        }
    }

    private func unknownKeys(_ known: [String: [String]]) -> [ConfigurationProblem] {
        assignments.compactMap { one in
            guard let keys = known[one.section], !keys.contains(one.key),
                !one.key.hasPrefix("X-")
            else { return nil }
            let home = known.keys.sorted().first { known[$0]?.contains(one.key) == true }
            let remedy =
                ConfigurationNames.nearest(to: one.key, among: keys).map { "did you mean \($0)=?" }
                ?? home.map { "it belongs into section [\($0)]" }
                ?? suggestion(one.key, keys) { "\($0)=" }
            return ConfigurationProblem(
                place: one.place, subject: Self.name(one.section, one.key), what: "unknown key",
                remedy: remedy)
        }
    }

    /// Only variables that name one of our sections: others may belong to other programs.
    private func unknownVariables(_ rows: [ConfigurationRow]) -> [ConfigurationProblem] {
        var known: [String] = []
        var prefixes: Set<String> = []
        for row in rows {
            known += ConfigurationNames.variables(row.section, row.key)
            prefixes.insert("OMNI2_\(row.section.uppercased())_")
            prefixes.insert("OMNI2_\(ConfigurationNames.snake(row.section))_")
        }
        return environment.variables.keys.sorted().compactMap { variable in
            guard prefixes.contains(where: { variable.hasPrefix($0) }), !known.contains(variable)
            else { return nil }
            return ConfigurationProblem(
                place: "environment \(variable)", subject: "", what: "no such setting",
                remedy: suggestion(variable, known) { $0 })
        }
    }

    private func suggestion(
        _ name: String, _ known: [String], _ written: (String) -> String
    ) -> String {
        if let nearest = ConfigurationNames.nearest(to: name, among: known) {
            return "did you mean \(written(nearest))?"
        }
        if known.count > 20 { return "remove it; omni2.conf(5) lists the settings" }
        return "known are \(known.map(written).joined(separator: " "))"
    }
}
