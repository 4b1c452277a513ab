import OmniIO

/// Every setting, read once, checked, and then only read: `configuration.cache.entriesMax`.
///
/// Each section's structure declares and reads its keys in its `init`, one line per key: name,
/// default, bounds, whether a reload can change it, and what it is for. `rows` is the table that
/// results. To add a key, add a line there; help, man page and the report on unknown keys follow.
struct Configuration: Sendable {
    var main: Main
    var http: HTTP
    var database: Database
    var access: Access
    var cache: Cache
    var coordinator: Coordinator
    var circuitBreaker: CircuitBreaker
    var webSocket: WebSocket
    var mcp: MCP
    var redis: Redis
    var telemetry: Telemetry
    var chat: Chat
    var flowTracker: FlowTracker
    var log: Log

    /// Where state, sockets and credentials are.
    let directories: ConfigurationDirectories
    /// Where to read again; nil where it was not read from files.
    var location: ConfigurationLocation?
    /// The table of all settings, in the order of the man page.
    let rows: [ConfigurationRow]

    /// Reads files, environment and credentials. The error lists everything that is wrong.
    ///
    /// A mere check goes on where the credentials are closed to it: systemd shows them to the daemon
    /// alone, not to the check that `ExecReload=` runs before it.
    static func load(
        _ location: ConfigurationLocation, environment: Environment, isCheck: Bool = false
    ) throws(ConfigurationError) -> Configuration {
        var problems: [ConfigurationProblem] = []
        let directories = ConfigurationDirectories(environment, problems: &problems)
        let sources = ConfigurationSources(
            location: location, environment: environment, credentials: directories.credentials,
            credentialsMayBeClosed: isCheck, problems: &problems)
        var configuration = try Configuration(sources, directories, problems: problems)
        configuration.location = location
        return configuration
    }

    /// All defaults, for tests: nothing of the machine is read.
    static func standard(in directory: String = "/nonexistent") -> Configuration {
        let directories = ConfigurationDirectories(
            state: "\(directory)/state", runtime: "\(directory)/run", credentials: nil)
        do throws(ConfigurationError) {
            return try Configuration(ConfigurationSources(), directories, problems: [])
        } catch {
            preconditionFailure("the defaults contradict each other: \(error)")
        }
    }

    init(
        _ sources: ConfigurationSources, _ directories: ConfigurationDirectories,
        problems: [ConfigurationProblem]
    ) throws(ConfigurationError) {
        var read = ConfigurationReader(sources, problems: problems)
        self.directories = directories
        main = Main(&read)
        http = HTTP(&read, directories)
        database = Database(&read)
        access = Access(&read, directories)
        cache = Cache(&read, directories)
        coordinator = Coordinator(&read)
        circuitBreaker = CircuitBreaker(&read)
        webSocket = WebSocket(&read)
        mcp = MCP(&read)
        redis = Redis(&read)
        telemetry = Telemetry(&read)
        chat = Chat(&read)
        flowTracker = FlowTracker(&read)
        log = Log(&read)
        rows = read.rows
        let unknown = sources.unknownNames(rows)
        let all = read.problems + unknown
        if !all.isEmpty { throw ConfigurationError(problems: all) }
    }
}
