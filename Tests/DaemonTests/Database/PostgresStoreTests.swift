import Glibc
import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// What only PostgreSQL does: it tells of changes, goes away, comes back, and may hold the tables of
/// the original.
@Suite("PostgresStore")
struct PostgresStoreTests {
    @Test func aChangeFromOutsideIsHeardWithinMilliseconds() async throws {
        let server = try PostgresServer.shared.get()
        let url = server.url(try server.makeDatabase())
        try await RingFixture.run { io in
            let pool = PostgresPool(io, url: url)
            let store = SQLStore.postgresql(io, url: url)
            try await withRunning(store, io) { events in
                let texts = [
                    "INSERT INTO omni2.mcp_servers (name, url) VALUES ('a', 'http://a/mcp')",
                    "UPDATE omni2.mcp_servers SET url = 'http://b/mcp'",
                    "UPDATE omni2.mcp_servers SET auth_config = '{\"token\": \"t\"}'",
                    "UPDATE omni2.mcp_servers SET meta_data = '{}'",
                    "DELETE FROM omni2.mcp_servers",
                ]
                for (index, text) in texts.enumerated() {
                    _ = try await pool.run([SQLCommand(text)], until: io.now + .seconds(5))
                    let committed = io.now
                    #expect(await events.changes(atLeast: index + 1), "\(text)")
                    #expect(io.now - committed < .seconds(1))
                }
            }
            pool.close()
        }
    }

    @Test func healthAndUnchangedConfigurationFromOutsideAreNot() async throws {
        let server = try PostgresServer.shared.get()
        let url = server.url(try server.makeDatabase())
        try await RingFixture.run { io in
            let pool = PostgresPool(io, url: url)
            let store = SQLStore.postgresql(io, url: url)
            try await withRunning(store, io) { _ in
                let listener = try await pool.connect(until: io.now + .seconds(5))
                let until = io.now + .seconds(10)
                _ = try await listener.run([SQLCommand("LISTEN omni2_registry")], until: until)
                let id = try await store.insert(.sample()).id
                let silent = [
                    "UPDATE omni2.mcp_servers SET health_status = 'healthy', error_count = 9",
                    "UPDATE omni2.mcp_servers SET circuit_state = 'open', pt_score = 4",
                    "UPDATE omni2.mcp_servers SET last_health_check = now(), updated_at = now()",
                    "UPDATE omni2.mcp_servers SET name = name, url = url",
                ]
                for text in silent { _ = try await pool.run([SQLCommand(text)], until: until) }
                try await store.delete(id: id)
                var heard: [String] = []
                while heard.count < 2 {
                    let payloads = try await listener.notifications(until: until).map(\.payload)
                    if payloads.isEmpty { break }
                    heard += payloads
                }
                let expected: [JSONValue] = [
                    ["op": "insert", "id": JSONValue(id), "name": "files"],
                    ["op": "delete", "id": JSONValue(id), "name": "files"],
                ]
                #expect(try heard.map { try JSONValue(parsing: $0) } == expected)
                listener.close()
            }
            pool.close()
        }
    }

    @Test func aStoreStartedBeforeItsServerIsReadyLater() async throws {
        let server = try PostgresServer()
        try server.stop()
        try await RingFixture.run { io in
            let store = SQLStore.postgresql(io, url: server.url("postgres"))
            let events = StoreEvents(store, io)
            store.start()
            #expect(store.state == .starting)
            #expect(await events.isUnavailable())
            await #expect {
                try await store.servers()
            } throws: { if case StoreError.unavailable = $0 { true } else { false } }
            try await io.offload { Result { try server.start() } }.get()
            #expect(await events.state { $0 == .ready })
            #expect(try await store.servers() == [])
            await store.stop()
        }
    }

    @Test func aLossIsNoticedAtOnceAndHealsByItself() async throws {
        let server = try PostgresServer()
        try await RingFixture.run { io in
            let store = SQLStore.postgresql(io, url: server.url("postgres"))
            try await withRunning(store, io) { events in
                let id = try await store.insert(.sample()).id
                #expect(await events.changes(atLeast: 1))
                for round in 1...2 {
                    try await io.offload { Result { try server.stop() } }.get()
                    #expect(await events.isUnavailable())
                    let start = io.now
                    await #expect {
                        try await store.servers()
                    } throws: { if case StoreError.unavailable = $0 { true } else { false } }
                    #expect(io.now - start < .seconds(1))
                    try await io.offload { Result { try server.start() } }.get()
                    #expect(await events.state { $0 == .ready })
                    // What changed meanwhile was not told: the registry is to be read again.
                    #expect(await events.changes(atLeast: 1 + round))
                    #expect(try await store.servers().map(\.id) == [id])
                }
                let outages = events.states.compactMap { state -> Int64? in
                    if case .unavailable(_, let since) = state { since } else { nil }
                }
                #expect(Set(outages).count == 2)
            }
        }
    }

    @Test func aServerThatIsFrozenIsUnavailableUntilItThaws() async throws {
        let server = try PostgresServer()
        try await RingFixture.run { io in
            var engine = PostgresEngine.Settings()
            engine.callTimeout = .milliseconds(300)
            engine.silence = .milliseconds(200)
            engine.answerTimeout = .milliseconds(300)
            engine.pool.connectTimeout = .milliseconds(500)
            let store = SQLStore.postgresql(
                io, url: server.url("postgres"), SQLStore.Settings(), engine)
            try await withRunning(store, io) { events in
                let frozen = try await io.offload { Result { try server.freeze() } }.get()
                defer { frozen.thaw() }
                let start = io.now
                await #expect {
                    try await store.servers()
                } throws: { if case StoreError.unavailable = $0 { true } else { false } }
                #expect(io.now - start < .seconds(3))
                #expect(await events.isUnavailable())
                frozen.thaw()
                #expect(await events.state { $0 == .ready })
                #expect(try await store.servers() == [])
            }
        }
    }

    @Test(arguments: ["HTTP/1.1 400 Bad Request\r\n\r\n", "E", "\u{0}\u{0}\u{0}\u{0}", ""])
    func whateverAnswersAtThePortTheStoreStopsPromptly(answer: String) async throws {
        try await RingFixture.run { io in
            let server = try GarbageServer(answer: answer)
            var engine = PostgresEngine.Settings()
            engine.pool.connectTimeout = .milliseconds(200)
            let store = SQLStore.postgresql(io, url: server.url, SQLStore.Settings(), engine)
            let events = StoreEvents(store, io)
            store.start()
            #expect(await events.isUnavailable())
            let start = io.now
            await store.stop()
            #expect(io.now - start < .seconds(2))
        }
    }

    @Test func aStoreThatWasNeverStartedStops() async throws {
        try await RingFixture.run { io in
            await SQLStore.postgresql(io, url: "host=/nowhere").stop()
        }
    }

    @Test func twoDaemonsMayMigrateAtTheSameTime() async throws {
        let server = try PostgresServer.shared.get()
        let database = try server.makeDatabase()
        try await RingFixture.run { io in
            let url = server.url(database)
            let stores = (0..<4).map { _ in SQLStore.postgresql(io, url: url) }
            let events = stores.map { StoreEvents($0, io) }
            for store in stores { store.start() }
            for event in events { #expect(await event.state { $0 == .ready }) }
            for event in events { #expect(event.states == [.ready]) }
            for store in stores { await store.stop() }
        }
        let applied = try server.sql(
            "SELECT count(*) FROM omni2.schema_migrations", database: database)
        #expect(applied == "\(EmbeddedMigrations.postgresql.count)")
    }

    @Test func theTablesOfTheOriginalAreAdopted() async throws {
        let server = try PostgresServer.shared.get()
        let database = try server.makeDatabase()
        try server.sql(originalSchema, database: database)
        let url = server.url(database)
        try await RingFixture.run { io in
            try await withRunning(SQLStore.postgresql(io, url: url), io) { _ in }
            let store = SQLStore.postgresql(io, url: url)
            try await withRunning(store, io) { events in
                let record = try #require(try await store.servers().first)
                #expect(record.name == "oracle")
                #expect(record.configuration.transport == "http-streamable")
                #expect(record.configuration.authentication == .bearer(token: "old-token"))
                #expect(record.configuration.maxFailureCycles == 3)
                #expect(record.configuration.canAutoEnable)
                #expect(record.health.status == "unhealthy")
                #expect(record.health.circuitState == "closed")
                try await store.write(health: .sample, ofServer: record.id)
                #expect(try await store.server(id: record.id)?.health == .sample)
                _ = try await store.update(id: record.id, .sample("oracle"))
                #expect(await events.changes(atLeast: 1))
                // Roles that were there stay as they are, and none is added.
                let roles = try await store.roles()
                #expect(roles.map(\.name) == ["dba"])
                #expect(roles[0].mcpAccess == ["oracle", "files"])
                #expect(roles[0].services == nil)
                #expect(try await store.users().map(\.role) == ["dba"])
                let token = try await store.insert(token: NewToken(userID: 1, hash: "abc"))
                #expect(try await store.token(hash: "abc") == token)
                try await store.append([.sample(server: record.id, at: 5)])
                let log = try await store.healthLog(ofServer: record.id, limit: 10)
                #expect(log.count == 2)
            }
        }
    }

    @Test func aRoleThatMayNotMigrateIsFineOnceAllIsDone() async throws {
        let server = try PostgresServer.shared.get()
        let database = try server.makeDatabase()
        try await RingFixture.run { io in
            let owner = SQLStore.postgresql(io, url: server.url(database))
            try await withRunning(owner, io) { _ in }
        }
        try server.sql(
            """
            CREATE ROLE guest_\(database) LOGIN;
            GRANT USAGE ON SCHEMA omni2 TO guest_\(database);
            GRANT SELECT ON ALL TABLES IN SCHEMA omni2 TO guest_\(database)
            """, database: database)
        let url = server.url(database).replacing("user=omni", with: "user=guest_\(database)")
        try await RingFixture.run { io in
            let store = SQLStore.postgresql(io, url: url)
            try await withRunning(store, io) { _ in
                let servers = try await store.servers()
                #expect(servers == [])
                await #expect {
                    try await store.insert(.sample())
                } throws: { if case StoreError.failed = $0 { true } else { false } }
            }
        }
    }
}

/// As its models and its hand-run migrations left it: some columns are of other types, some are
/// missing.
private let originalSchema = """
    CREATE SCHEMA omni2;
    CREATE TABLE omni2.mcp_servers (
        id serial PRIMARY KEY, name varchar(100) UNIQUE NOT NULL, url varchar(500) NOT NULL,
        description text, status varchar(20) DEFAULT 'active',
        protocol varchar(20) DEFAULT 'http', timeout_seconds integer DEFAULT 30,
        max_retries integer DEFAULT 2, retry_delay_seconds numeric(4,2) DEFAULT 1.0,
        auth_type varchar(20), auth_config json, last_health_check timestamptz,
        health_status varchar(20) DEFAULT 'unknown', error_count integer DEFAULT 0,
        circuit_state varchar(20), consecutive_failures integer,
        last_recovery_attempt timestamp without time zone,
        meta_data jsonb, created_at timestamptz DEFAULT now(),
        updated_at timestamptz DEFAULT now());
    INSERT INTO omni2.mcp_servers (name, url, protocol, auth_type, auth_config, health_status)
    VALUES ('oracle', 'http://o/mcp', 'http_streamable', 'bearer',
        '{"api_key": "old-token"}', 'unhealthy');
    CREATE TABLE omni2.mcp_health_log (
        id bigserial PRIMARY KEY,
        mcp_server_id integer REFERENCES omni2.mcp_servers (id) ON DELETE CASCADE,
        "timestamp" timestamptz DEFAULT now(), status varchar(20) NOT NULL,
        response_time_ms integer, error_message text, meta_data jsonb);
    INSERT INTO omni2.mcp_health_log (mcp_server_id, status) VALUES (1, 'healthy');
    CREATE SCHEMA auth_service;
    CREATE TABLE auth_service.roles (
        id serial PRIMARY KEY, name varchar(50) UNIQUE NOT NULL, description text,
        mcp_access text[] DEFAULT '{}', tool_restrictions jsonb DEFAULT '{}',
        dashboard_access varchar(20) DEFAULT 'none', rate_limit integer DEFAULT 100,
        cost_limit_daily numeric(10,2) DEFAULT 10.00, token_expiry integer DEFAULT 3600);
    INSERT INTO auth_service.roles (name, mcp_access) VALUES ('dba', '{oracle,files}');
    CREATE TABLE auth_service.users (
        id serial PRIMARY KEY, username varchar(100) UNIQUE NOT NULL,
        name varchar(255) NOT NULL, email varchar(255) UNIQUE NOT NULL,
        role_id integer REFERENCES auth_service.roles (id), password_hash varchar(255),
        active boolean DEFAULT true);
    INSERT INTO auth_service.users (username, name, email, role_id)
    VALUES ('ada', 'Ada', 'ada@example.org', 1);
    CREATE TABLE auth_service.mcp_access_tokens (
        id serial PRIMARY KEY, user_id integer NOT NULL, token_hash varchar(255) NOT NULL,
        name varchar(100), created_at timestamp DEFAULT now(), last_used_at timestamp,
        expires_at timestamp);
    INSERT INTO auth_service.mcp_access_tokens (user_id, token_hash) VALUES (1, '$2b$12$x')
    """
