import OmniCore

/// `config show`: the settings in force in the running daemon, and where each comes from.
enum ConfigurationShow {
    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        var json = try await client.get("/api/v1/config")
        var settings = json["settings"]?.array ?? []
        if let wanted = invocation.optional("SECTION") {
            var sections: [String] = []
            for case let name? in settings.map({ $0["section"]?.string })
            where !sections.contains(name) { sections.append(name) }
            guard let section = sections.first(where: { $0.lowercased() == wanted.lowercased() })
            else {
                throw .failed(
                    "there is no section [\(wanted)]; there are \(sections.joined(separator: ", "))"
                )
            }
            settings = settings.filter { $0["section"]?.string == section }
        }
        if invocation.option("changed") != nil {
            settings = settings.filter { $0["is_default"]?.bool != true }
        }
        json["settings"] = .array(settings)
        let shown = settings
        return Reply(json) { style in text(shown, style) }
    }

    /// As a file would say it; what is a default is a comment, as in the file that is installed.
    private static func text(_ settings: [JSONValue], _ style: Style) -> String {
        if settings.isEmpty { return "All settings are the defaults.\n" }
        var (text, section) = ("", "")
        for setting in settings {
            let name = Words.plain(setting["section"])
            if name != section {
                text += (section.isEmpty ? "" : "\n") + style.paint("[\(name)]", .bold) + "\n"
                section = name
            }
            let line = Words.harmless(
                "\(Words.plain(setting["key"]))=\(setting["value"]?.string ?? "")")
            if setting["is_default"]?.bool == true {
                text += style.paint("#\(line)", .dim) + "\n"
            } else {
                let origin = Words.harmless(Words.plain(setting["origin"]))
                text += line + style.paint("  # \(origin)", .dim) + "\n"
            }
        }
        return text
    }
}
