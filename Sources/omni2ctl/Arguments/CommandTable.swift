/// Every command there is. Help, parser and manual page follow this table.
enum CommandTable {
    static let commands: [Command] =
        [status] + servers + tools + cache + circuits + PeopleTable.commands + [check]

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
            detail: "One of --url and --command is needed. What follows -- goes to the command, "
                + "which the daemon starts and speaks to over its standard input and output.",
            body: .remote(ServerAddition.run)),
        Command(
            words: ["mcp", "import"], arguments: [Argument(name: "FILE")],
            summary: "register the servers of an mcpServers file",
            detail: "FILE is the JSON that MCP clients use. A server whose name is registered "
                + "already takes over what its entry says; servers that FILE does not name stay "
                + "as they are. A file that is not understood changes nothing; of entries that the "
                + "daemon refuses it is said why, and the others are registered.",
            body: .remote(ServerImport.run)),
        Command(
            words: ["mcp", "remove"], arguments: [name], summary: "forget a server",
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
}
