/// Every command there is. Help, parser and manual page follow this table.
enum CommandTable {
    static let commands: [Command] =
        [status] + servers + tools + cache + circuits + PeopleTable.commands
        + [check, completion, stdio]

    private static let name = Argument(name: "NAME")

    private static let status = Command(
        words: ["status"], summary: "show how the daemon and its servers are",
        body: .remote(StatusCommand.run))

    private static let servers = [
        Command(
            words: ["mcp", "list"], summary: "list the registered MCP servers",
            body: .remote(ServerCommands.list)),
        Command(
            words: ["mcp", "show"], arguments: [name],
            summary: "show one server: state, circuit, tools, last events",
            body: .remote(ServerCommands.show)),
        Command(
            words: ["mcp", "add"], arguments: [name], options: addOptions, rest: "ARGS",
            summary: "register a server, by --url or by --command",
            detail: "One of --url and --command is needed. What follows -- goes to the command. "
                + "On a host with systemd the command becomes the unit omni2-mcp@NAME, in a sandbox, a "
                + "cgroup and a journal of its own; that needs root. Elsewhere the daemon starts it. "
                + "Either way they speak over its standard input and output.",
            body: .remote(ServerAddition.run)),
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
            words: ["mcp", "remove"], arguments: [name],
            summary: "forget a server, and its unit with it",
            body: .remote(ServerOrders.remove)),
        Command(
            words: ["mcp", "enable"], arguments: [name],
            summary: "put a server into service, also one that was disabled by its failures",
            body: .remote(ServerOrders.enable)),
        Command(
            words: ["mcp", "disable"], arguments: [name],
            summary: "take a server out of service and keep it registered",
            body: .remote(ServerOrders.disable)),
        Command(
            words: ["mcp", "check"], arguments: [name], summary: "ask a server now how it is",
            body: .remote(ServerOrders.check)),
        Command(
            words: ["mcp", "reload"], arguments: [Argument(name: "NAME", isOptional: true)],
            summary: "connect to a server anew, or to all",
            body: .remote(ServerOrders.reload)),
    ]

    private static let addOptions = [
        Option(
            name: "url", value: "URL", help: "where it is: http://host[:port]/path or https://…"),
        Option(
            name: "bearer-file", value: "FILE",
            help: "send the token in FILE as Authorization: Bearer; with --url"),
        Option(name: "command", value: "CMD", help: "a program that speaks MCP over stdio"),
        Option(name: "network", help: "let the unit of --command reach the network"),
        Option(
            name: "environment-file", value: "FILE",
            help: "NAME=VALUE lines that only root need be able to read, for the unit of --command"),
        Option(
            name: "memory-max", value: "SIZE",
            help: "when the unit of --command is ended, such as 256M; 512M unless told"),
        Option(
            name: "cpu-quota", value: "PERCENT",
            help:
                "how much of one core the unit of --command may use, such as 50%; 200% unless told"),
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

    private static let tools = [
        Command(
            words: ["tools", "list"], arguments: [Argument(name: "SERVER", isOptional: true)],
            summary: "list the tools of all servers, or of one",
            body: .remote(ToolCommands.list)),
        Command(
            words: ["tools", "call"],
            arguments: [
                Argument(name: "SERVER"), Argument(name: "TOOL"),
                Argument(name: "JSON", isOptional: true),
            ], summary: "call a tool",
            detail: "JSON is an object with the tool's arguments, such as '{\"path\": \"/tmp\"}'. "
                + "The text of the result goes to standard output; --json prints all of it.",
            body: .remote(ToolCommands.call)),
    ]

    private static let cache = [
        Command(
            words: ["cache", "stats"], summary: "show the size and the use of the cache",
            body: .remote(CacheCommands.statistics)),
        Command(
            words: ["cache", "invalidate"],
            arguments: [
                Argument(name: "SERVER", isOptional: true),
                Argument(name: "TOOL", isOptional: true),
            ], summary: "forget kept results: all, those of a server, or of one tool",
            body: .remote(CacheCommands.invalidate)),
    ]

    private static let circuits = [
        Command(
            words: ["circuit", "show"], arguments: [name],
            summary: "show the circuit breaker of a server", body: .remote(CircuitCommands.show)),
        Command(
            words: ["circuit", "reset"], arguments: [name],
            summary: "close the circuit of a server and try it now",
            body: .remote(CircuitCommands.reset)),
    ]

    private static let check = Command(
        words: ["config", "check"], arguments: [Argument(name: "FILE", isOptional: true)],
        summary: "say everything that is wrong with the configuration",
        detail: "Runs omni2-native --check, on FILE instead of /etc/omni2/omni2.conf if given, and "
            + "ends with its exit status. The daemon need not run.",
        body: .local(ConfigurationCheck.run))

    private static let completion = Command(
        words: ["completion"], arguments: [Argument(name: "SHELL")],
        summary: "print a script that completes commands and options: bash or zsh",
        detail: "The package installs both. Elsewhere: source <(omni2ctl completion bash).",
        body: .local(ShellCompletion.run))

    private static let stdio = Command(
        words: ["stdio"], rest: "CMD",
        summary: "run a command on one connection of a passed socket",
        detail:
            "What the units omni2-mcp@NAME run: the first peer of the socket that systemd passed "
            + "becomes standard input and output of the command.",
        body: .local(StandardStreams.run))
}
