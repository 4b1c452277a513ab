/// The commands about people: `user`, `block`, `unblock`, `role`, `token`.
enum PeopleTable {
    static let commands = users + blocks + roles + tokens

    private static let name = Argument(name: "NAME")
    private static let user = Argument(name: "USER")
    private static let role = Argument(name: "ROLE")

    private static let users = [
        Command(
            words: ["user", "list"], summary: "list the users", body: .remote(UserCommands.list)),
        Command(
            words: ["user", "show"], arguments: [user],
            summary: "show a user and what the user may do", body: .remote(UserCommands.show)),
        Command(
            words: ["user", "add"], arguments: [name], options: userOptions, summary: "add a user",
            detail: "--role is needed. A user without a password uses tokens alone.",
            body: .remote(UserCommands.add)),
        Command(
            words: ["user", "set"], arguments: [user], options: userOptions,
            summary: "change a user; it counts at once, also for sessions that are open",
            body: .remote(UserCommands.set)),
        Command(
            words: ["user", "remove"], arguments: [user],
            summary: "remove a user, with tokens and sessions",
            body: .remote(UserCommands.remove)),
    ]

    private static let userOptions = [
        Option(name: "role", value: "ROLE", help: "the role; see omni2ctl role list"),
        Option(name: "email", value: "ADDRESS", help: "the e-mail address"),
        Option(name: "full-name", value: "TEXT", help: "the name people know"),
        Option(
            name: "password-file", value: "FILE", help: "the password is in FILE, at least 12 bytes"
        ),
        Option(
            name: "active", value: "YES", choices: ["yes", "no"],
            help: "whether the user may come in"),
        Option(
            name: "rate-limit", value: "N", help: "requests per hour, instead of the role's"),
    ]

    private static let blocks = [
        Command(
            words: ["block"], arguments: [user],
            options: [
                Option(name: "services", value: "A,B", help: "of chat and mcp; without it both"),
                Option(name: "message", value: "TEXT", help: "what the user is told"),
                Option(name: "reason", value: "TEXT", help: "what is kept on record"),
            ], summary: "block a user; sessions that are open end",
            body: .remote(UserCommands.block)),
        Command(
            words: ["unblock"], arguments: [user], summary: "lift a user's block",
            body: .remote(UserCommands.unblock)),
    ]

    private static let roles = [
        Command(
            words: ["role", "list"], summary: "list the roles", body: .remote(RoleCommands.list)),
        Command(
            words: ["role", "add"], arguments: [name], options: roleOptions, summary: "add a role",
            body: .remote(RoleCommands.add)),
        Command(
            words: ["role", "set"], arguments: [role], options: roleOptions,
            summary: "change a role; it counts at once, for everybody who has it",
            body: .remote(RoleCommands.set)),
        Command(
            words: ["role", "remove"], arguments: [role], summary: "remove a role that nobody has",
            body: .remote(RoleCommands.remove)),
    ]

    private static let roleOptions = [
        Option(
            name: "servers", value: "A,B", help: "the servers it may use; * is all, none is none"),
        Option(
            name: "tools", value: "JSON",
            help: "restrictions by server, such as {\"git\": {\"tools\": [\"git_log\"]}}"),
        Option(name: "services", value: "A,B", help: "of chat and mcp; none is none"),
        Option(
            name: "dashboard", value: "ACCESS", choices: ["admin", "operate", "view", "none"],
            help: "what it may do with dashboards"),
        Option(name: "rate-limit", value: "N", help: "requests per hour"),
        Option(name: "cost-limit", value: "DOLLARS", help: "dollars per day"),
    ]

    private static let tokens = [
        Command(
            words: ["token", "list"], arguments: [Argument(name: "USER", isOptional: true)],
            summary: "list the tokens of all users, or of one",
            body: .remote(RoleCommands.tokens)),
        Command(
            words: ["token", "create"], arguments: [user],
            options: [
                Option(name: "name", value: "TEXT", help: "what it is for"),
                Option(name: "days", value: "N", help: "how long it is good; without it, for ever"),
            ], summary: "make a token for a user and print it",
            detail: "The token goes to standard output, once: only its hash is kept.",
            body: .remote(RoleCommands.createToken)),
        Command(
            words: ["token", "revoke"], arguments: [Argument(name: "ID")],
            summary: "revoke a token; what it opened ends at once",
            body: .remote(RoleCommands.revokeToken)),
    ]
}
