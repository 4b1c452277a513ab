/// Every command there is. Help, parser, manual page and completion follow this table.
///
/// What a placeholder is called says what completion offers for it: see `Placeholder`.
enum CommandTable {
    static let commands: [Command] =
        [status] + ServerTable.commands + tools + cache + circuits + [watch] + flows
        + PeopleTable.commands + configuration + [doctor] + pages + [stdio]

    private static let server = Argument(name: "SERVER")

    private static let top = [
        Option(name: "top", help: "draw it in its place again and again, as top does; q ends"),
        Option(name: "interval", value: "SECONDS", help: "how often --top draws; 2 unless told"),
    ]

    private static let status = Command(
        words: ["status"], options: top,
        summary: "show how the daemon and its servers are", body: .live(StatusCommand.run))

    private static let tools = [
        Command(
            words: ["tools", "list"], arguments: [Argument(name: "SERVER", isOptional: true)],
            summary: "list the tools of all servers, or of one",
            body: .remote(ToolCommands.list)),
        Command(
            words: ["tools", "call"],
            arguments: [
                server, Argument(name: "TOOL"), Argument(name: "JSON", isOptional: true),
            ], summary: "call a tool",
            detail:
                "JSON is an object with the tool's arguments, such as '{\"path\": \"/tmp\"}'; - "
                + "reads it from standard input. The text of the result goes to standard output; "
                + "--json prints all of it.",
            body: .remote(ToolCommands.call)),
    ]

    private static let entries = [
        Argument(name: "SERVER", isOptional: true), Argument(name: "TOOL", isOptional: true),
    ]

    private static let cache = [
        Command(
            words: ["cache", "stats"], options: top,
            summary: "show the size and the use of the cache",
            body: .live(CacheCommands.statistics)),
        Command(
            words: ["cache", "list"], arguments: entries,
            options: [
                Option(name: "limit", value: "N", help: "so many at most, 100 unless told")
            ],
            summary: "list the kept results: all, those of a server, or of one tool",
            body: .remote(CacheCommands.list)),
        Command(
            words: ["cache", "get"], arguments: [Argument(name: "KEY")],
            summary: "show a kept result; the first digits of its key are enough",
            body: .remote(CacheCommands.get)),
        Command(
            words: ["cache", "invalidate"], arguments: entries,
            summary: "forget kept results: all, those of a server, or of one tool",
            body: .remote(CacheCommands.invalidate)),
    ]

    private static let circuits = [
        Command(
            words: ["circuit", "show"], arguments: [server],
            summary: "show the circuit breaker of a server", body: .remote(CircuitCommands.show)),
        Command(
            words: ["circuit", "reset"], arguments: [server],
            summary: "close the circuit of a server and try it now",
            body: .remote(CircuitCommands.reset)),
    ]

    private static let following = [
        Option(
            name: "since", value: "N",
            help: "begin behind the event with this number; 0: the oldest"),
        Option(name: "count", value: "N", help: "end after so many"),
    ]

    private static let watch = Command(
        words: ["watch"],
        options: [
            Option(name: "type", value: "A,B", help: "only these types of events"),
            Option(name: "server", value: "A,B", help: "only what is about these servers"),
            Option(
                name: "severity", value: "LEVEL", choices: ["info", "medium", "high", "critical"],
                help: "only what is at least so severe"),
        ] + following + top,
        summary: "show live events as they come",
        detail: "It begins with how everything stands. When the daemon is started anew or the "
            + "connection is lost, it comes back, goes on behind the last event it showed, and says "
            + "so when events were missed. With --json each event is one line, with its number as "
            + "seq. Events that only say that all goes on are shown when --type names them: ping, "
            + "system_metrics, system_health, cache_stats, mcp_health_check.",
        body: .live(WatchCommand.run))

    private static let flows = [
        Command(
            words: ["flows", "monitor"], arguments: [Argument(name: "USER", isOptional: true)],
            options: [
                Option(name: "hours", value: "N", help: "for so long; 24 unless told"),
                Option(name: "stop", help: "no longer"),
            ],
            summary: "show a user's flows live from now on; without USER, say whose are",
            detail: "USER is a name, an e-mail address, a number, or operator for the requests of "
                + "administrators who are no users.",
            body: .remote(FlowCommands.monitor)),
        Command(
            words: ["flows", "list"], arguments: [Argument(name: "USER")],
            options: [
                Option(name: "limit", value: "N", help: "so many at most, 20 unless told"),
                Option(
                    name: "source", value: "SOURCE", help: "only from there, such as mcp_gateway"),
                Option(
                    name: "checkpoint", value: "TYPE",
                    help: "only with such a checkpoint, such as tool_call"),
                Option(
                    name: "since", value: "TIME", help: "only later ones; 2026-01-28 in UTC"),
            ],
            summary: "list what a user's requests did, newest first",
            body: .remote(FlowCommands.list)),
        Command(
            words: ["flows", "show"], arguments: [Argument(name: "SESSION")],
            summary: "show one flow as a tree, with times",
            body: .remote(FlowCommands.show)),
        Command(
            words: ["flows", "watch"], arguments: [Argument(name: "USER")], options: following,
            summary: "show a monitored user's checkpoints as they come",
            body: .live(FlowCommands.watch)),
    ]

    private static let configuration = [
        Command(
            words: ["config", "check"], arguments: [Argument(name: "FILE", isOptional: true)],
            summary: "say everything that is wrong with the configuration",
            detail: "Runs omni2-native --check, on FILE instead of /etc/omni2/omni2.conf if given, "
                + "and ends with its exit status. The daemon need not run.",
            body: .local(ConfigurationCheck.run)),
        Command(
            words: ["config", "show"], arguments: [Argument(name: "SECTION", isOptional: true)],
            options: [Option(name: "changed", help: "only what is not the default")],
            summary: "show the settings in force and where each comes from",
            detail:
                "What the running daemon uses; after a change of the files that is not what they "
                + "say. Secrets are masked.",
            body: .remote(ConfigurationShow.run)),
    ]

    private static let doctor = Command(
        words: ["doctor"],
        options: [
            Option(
                name: "config", value: "FILE", help: "check FILE instead of /etc/omni2/omni2.conf")
        ],
        summary: "check this host and the daemon, and say what to do",
        detail: "Looks at the kernel, io_uring, limits and system settings, the clock, units and "
            + "sockets, the configuration; then at the daemon, its database, Redis, disk space and "
            + "cache, and asks every server. Works without a daemon, too. With --host only the "
            + "daemon is looked at. Ends with 1 when a check failed; warnings alone are no failure.",
        body: .local(Doctor.run))

    private static let pages = [
        Command(
            words: ["names"],
            arguments: [
                Argument(name: "KIND"), Argument(name: "SERVER", isOptional: true),
            ],
            summary: "print the names there are, one on a line",
            detail: "KIND is one of servers, tools (of SERVER), users, roles, sections. Completion "
                + "asks it.",
            body: .remote(NamesCommand.run)),
        Command(
            words: ["completion"], arguments: [Argument(name: "SHELL")],
            summary: "print a script that completes commands and options: bash or zsh",
            detail: "The package installs both. Elsewhere: source <(omni2ctl completion bash).",
            body: .local(ShellCompletion.run)),
        Command(
            words: ["manual"], summary: "print the manual page omni2ctl(1), for man -l -",
            body: .local(ManualPage.run)),
    ]

    private static let stdio = Command(
        words: ["stdio"], rest: "CMD",
        summary: "run a command on one connection of a passed socket",
        detail:
            "What the units omni2-mcp@NAME run: the first peer of the socket that systemd passed "
            + "becomes standard input and output of the command.",
        body: .local(StandardStreams.run))
}
