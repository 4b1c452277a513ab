import OmniCore
import OmniIO

/// `Store` over either engine: the same statements, each written in the engine's dialect.
final class SQLStore: Store {
    struct Settings: Sendable {
        /// Encrypts `auth_config`; nil leaves it in the open, as OMNI2 does.
        var key: SecretBox?
        /// Entries of the health log older than this are deleted; nil keeps them all.
        var healthLogDays: Int? = 30
        init() {}
    }

    let database: any SQLEngine
    private let servers: ServerStatements
    private let registry: RegistryStatements
    let access: AccessStatements
    let flows: FlowStatements
    let people: PeopleStatements
    let audits: AuditStatements
    private let retention: HealthLogRetention?
    /// Who is told what statements take.
    var telemetry: Telemetry?

    var engine: String { database.dialect.engine.rawValue }
    var state: StoreState { database.state }
    var stateChanged: (StoreState) -> Void {
        get { database.stateChanged }
        set { database.stateChanged = newValue }
    }
    var registryChanged: () -> Void {
        get { database.registryChanged }
        set { database.registryChanged = newValue }
    }

    var healthChanged: () -> Void {
        get { database.healthChanged }
        set { database.healthChanged = newValue }
    }

    var accessChanged: () -> Void {
        get { database.accessChanged }
        set { database.accessChanged = newValue }
    }

    init(_ io: any IO, _ database: any SQLEngine, _ settings: Settings = Settings()) {
        self.database = database
        let dialect = database.dialect
        servers = ServerStatements(dialect, AuthenticationColumns(box: settings.key))
        registry = RegistryStatements(dialect)
        access = AccessStatements(dialect)
        flows = FlowStatements(dialect)
        people = PeopleStatements(dialect)
        audits = AuditStatements(dialect)
        retention = settings.healthLogDays.map { HealthLogRetention(io, days: $0) }
    }

    func start() {
        database.start()
        retention?.pruneFlows = { [unowned self] (time, limit) async throws(StoreError) in
            try await self.pruneFlows(before: time, limit: limit)
        }
        retention?.start(self)
    }

    func stop() async {
        retention?.stop()
        await database.stop()
    }

    // MARK: Servers

    func servers() async throws(StoreError) -> [ServerRecord] {
        try await rows(servers.select).map(servers.record)
    }

    func server(id: Int) async throws(StoreError) -> ServerRecord? {
        try await rows(servers.selectOne, [SQLValue(id)]).first.map(servers.record)
    }

    func insert(_ configuration: ServerConfiguration) async throws(StoreError) -> ServerRecord {
        let rows = try await rows(servers.insert, servers.values(configuration).values)
        guard let row = rows.first else { throw .failed("the insert returned no row") }
        announce()
        return servers.record(row)
    }

    func update(id: Int, _ configuration: ServerConfiguration) async throws(StoreError)
        -> ServerRecord
    {
        let (values, keeps) = servers.values(configuration)
        let rows = try await rows(servers.update, values + [keeps, SQLValue(id)])
        guard let row = rows.first else { throw .notFound }
        announce()
        return servers.record(row)
    }

    func delete(id: Int) async throws(StoreError) {
        let result = try await run(SQLCommand(servers.delete, [SQLValue(id)]))
        if result.affected == 0 { throw .notFound }
        announce()
    }

    func write(health: ServerHealth, ofServer id: Int) async throws(StoreError) {
        let values = servers.values(health, id: id)
        var commands = [SQLCommand(servers.writeHealth, values)]
        // Hosts that do not check take the result from the row.
        if database.announcesChanges {
            commands.append(SQLCommand(servers.tellHealth, [.text(String(id))]))
        }
        if try await runAll(commands)[0].affected == 0 { throw .notFound }
    }

    /// PostgreSQL's trigger tells everybody, us too; SQLite has no such thing.
    private func announce() {
        if !database.announcesChanges { registryChanged() }
    }

    // MARK: Health log, tools, configuration

    func append(_ entries: [HealthLogEntry]) async throws(StoreError) {
        if entries.isEmpty { return }
        try await runAll(entries.map(registry.append))
    }

    func healthLog(ofServer id: Int, limit: Int) async throws(StoreError) -> [HealthLogEntry] {
        try await rows(registry.healthLog, [SQLValue(id), SQLValue(limit)]).map(registry.entry)
    }

    func pruneHealthLog(before time: Int64, limit: Int) async throws(StoreError) -> Int {
        try await run(SQLCommand(registry.prune, [SQLValue(time), SQLValue(limit)])).affected
    }

    func tools(ofServer id: Int) async throws(StoreError) -> [ToolRecord] {
        try await rows(registry.tools, [SQLValue(id)]).map(registry.tool)
    }

    func replaceTools(ofServer id: Int, with tools: [ToolRecord]) async throws(StoreError) {
        let delete = SQLCommand(registry.deleteTools, [SQLValue(id)])
        try await runAll([delete] + tools.map { registry.insert($0, server: id) })
    }

    func configurationValue(_ key: String) async throws(StoreError) -> String? {
        try await rows(registry.configurationValue, [SQLValue(key)]).first?.text("config_value")
    }

    func setConfigurationValue(_ key: String, to json: String) async throws(StoreError) {
        try await run(SQLCommand(registry.setConfigurationValue, [SQLValue(key), SQLValue(json)]))
    }

    // MARK: Running

    func rows(_ text: String, _ values: [SQLValue] = []) async throws(StoreError) -> [SQLRow] {
        try await run(SQLCommand(text, values)).rows
    }

    @discardableResult
    func run(_ command: SQLCommand) async throws(StoreError) -> SQLResult {
        try await runAll([command])[0]
    }

    @discardableResult
    func runAll(_ commands: [SQLCommand]) async throws(StoreError) -> [SQLResult] {
        let statement = commands.first.flatMap {
            telemetry?.statementBegins($0.text, system: engine)
        }
        do throws(SQLError) {
            let results = try await database.run(commands)
            if let statement { telemetry?.statementEnded(statement, error: nil) }
            return results
        } catch {
            if let statement { telemetry?.statementEnded(statement, error: error.reason) }
            throw StoreError(error)
        }
    }
}

extension StoreError {
    init(_ error: SQLError) {
        switch error {
        case .connectionLost, .timedOut, .crowded: self = .unavailable(error.reason)
        case .failed(SQLState.uniqueViolation, _): self = .conflict("the name is taken")
        // A row that refers to a server or user which is gone.
        case .failed(SQLState.foreignKeyViolation, _): self = .notFound
        case .failed: self = .failed(error.reason)
        }
    }
}
