import OmniCore

/// `/api/v1/config`: every setting with the value in force and where it comes from, secrets masked.
struct ConfigurationRoutes {
    let current: () -> Configuration

    func add(to router: inout Router) {
        router.on(
            .get, "/api/v1/config", .administrator,
            "Shows the settings in force, and where each comes from".described.answering(
                .ok,
                .reply(
                    .required("settings", .list(.map(.any), 0...1000)),
                    .required("directories", .map(.any))))
        ) { call in call.respond(HTTPResponse(json: Self.json(current()))) }
    }

    private static func json(_ configuration: Configuration) -> JSONValue {
        let directories = configuration.directories
        return [
            "success": true, "settings": .array(configuration.rows.map(setting)),
            "directories": [
                "state": .string(directories.state), "runtime": .string(directories.runtime),
            ],
        ]
    }

    private static func setting(_ row: ConfigurationRow) -> JSONValue {
        [
            "section": .string(row.section), "key": .string(row.key), "value": .string(row.text),
            "default": .string(row.defaultText), "kind": .string(row.kind),
            "bounds": .string(row.bounds), "help": .string(row.help),
            "origin": .string(row.origin.place), "is_default": .bool(row.origin == .default),
            "change": row.change == .live ? "reload" : "restart",
        ]
    }
}
