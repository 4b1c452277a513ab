/// The commands about servers: `mcp …`.
enum ServerTable {
    static let commands = [
        Command(
            words: ["mcp", "list"], summary: "list the registered MCP servers",
            body: .remote(ServerCommands.list)),
        Command(
            words: ["mcp", "show"], arguments: [server],
            summary: "show one server: state, circuit, tools, last events",
            body: .remote(ServerCommands.show)),
        Command(
            words: ["mcp", "add"], arguments: [Argument(name: "NAME")], options: addOptions,
            rest: "ARGS",
            summary: "register a server, by --url or by --command",
            detail: "One of --url and --command is needed. What follows -- goes to the command. "
                + "On a host with systemd the command becomes the unit omni2-mcp@NAME, in a sandbox, a "
                + "cgroup and a journal of its own; that needs root. Elsewhere the daemon starts it. "
                + "Either way they speak over its standard input and output.",
            body: .remote(ServerAddition.run)),
        Command(
            words: ["mcp", "edit"], arguments: [server], options: editOptions,
            summary: "change a server, by options or in an editor",
            detail: "What no option names stays as it is. Without options $VISUAL or $EDITOR opens "
                + "with what can be changed, as JSON; secrets are not shown and are changed by "
                + "--bearer-file. The command of a server that is a unit: systemctl edit "
                + "omni2-mcp@SERVER.",
            body: .remote(ServerEdit.run)),
        Command(
            words: ["mcp", "import"], arguments: [Argument(name: "FILE")],
            options: [
                Option(
                    name: "network",
                    help: "let the units of servers with a command reach the network")
            ],
            summary: "register the servers of an mcpServers file",
            detail: "FILE is the JSON that MCP clients use. A server whose name is registered "
                + "already takes over what its entry says; servers that FILE does not name stay "
                + "as they are. A file that is not understood changes nothing; of entries that the "
                + "daemon refuses it is said why, and the others are registered. Servers with a "
                + "command become units as with mcp add.",
            body: .remote(ServerImport.run)),
        Command(
            words: ["mcp", "remove"], arguments: [server],
            summary: "forget a server, and its unit with it",
            body: .remote(ServerOrders.remove)),
        Command(
            words: ["mcp", "enable"], arguments: [server],
            summary: "put a server into service, also one that was disabled by its failures",
            body: .remote(ServerOrders.enable)),
        Command(
            words: ["mcp", "disable"], arguments: [server],
            summary: "take a server out of service and keep it registered",
            body: .remote(ServerOrders.disable)),
        Command(
            words: ["mcp", "check"], arguments: [server], summary: "ask a server now how it is",
            body: .remote(ServerOrders.check)),
        Command(
            words: ["mcp", "reload"], arguments: [Argument(name: "SERVER", isOptional: true)],
            options: [
                Option(name: "wait", help: "until they are connected, or have failed to be")
            ],
            summary: "connect to a server anew, or to all",
            body: .remote(ServerOrders.reload)),
    ]

    private static let server = Argument(name: "SERVER")

    private static let addOptions =
        [
            Option(
                name: "url", value: "URL", help: "where it is: http://host[:port]/path or https://…"
            ),
            Option(
                name: "bearer-file", value: "FILE",
                help: "send the token in FILE as Authorization: Bearer; with --url"),
            Option(name: "command", value: "CMD", help: "a program that speaks MCP over stdio"),
            Option(name: "network", help: "let the unit of --command reach the network"),
            Option(
                name: "environment-file", value: "FILE",
                help:
                    "NAME=VALUE lines that only root need be able to read, for the unit of --command"
            ),
            Option(
                name: "memory-max", value: "SIZE",
                help: "when the unit of --command is ended, such as 256M; 512M unless told"),
            Option(
                name: "cpu-quota", value: "PERCENT",
                help:
                    "how much of one core the unit of --command may use, such as 50%; 200% unless told"
            ),
        ] + cacheOptions

    private static let editOptions =
        [
            Option(
                name: "url", value: "URL", help: "where it is: http://host[:port]/path or https://…"
            ),
            Option(name: "description", value: "TEXT", help: "what it is for"),
            Option(
                name: "bearer-file", value: "FILE",
                help: "send the token in FILE as Authorization: Bearer"),
            Option(
                name: "timeout", value: "SECONDS", help: "how long a call may take, from 5 to 300"),
            Option(
                name: "retries", value: "N", help: "attempts of what may be repeated, from 1 to 10"),
        ] + cacheOptions

    private static let cacheOptions = [
        Option(
            name: "cache-policy", value: "POLICY", choices: ["off", "listed", "read_only"],
            help: "which tools' results may be kept"),
        Option(
            name: "cache-tools", value: "A,B", help: "the tools of --cache-policy listed"),
        Option(
            name: "ttl", value: "TIME",
            help: "how long results are kept: seconds, or a time span such as 5min"),
        Option(
            name: "scope", value: "SCOPE", choices: ["shared", "role", "user"],
            help: "who shares kept results"),
    ]
}
