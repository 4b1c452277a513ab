import Glibc
import OmniCore
import OmniIO
import Testing

@Suite("SQLiteDatabase")
struct SQLiteDatabaseTests {
    private static let migrations = [
        SQLMigration(version: 1, name: "one", text: "CREATE TABLE t (id INTEGER PRIMARY KEY, x);")
    ]

    @Test func valuesGoInAndComeOutByType() async throws {
        try await withDatabase { io, database in
            let command = SQLCommand(
                "SELECT $1 AS i, $2 AS r, $3 AS t, $4 AS f, $5 AS n, $3 AS again",
                [SQLValue(-7), SQLValue(1.5), SQLValue("ü'\"\\"), SQLValue(true), .null])
            let row = try await database.run([command], until: io.now + .seconds(5))[0].rows[0]
            #expect(row.integer("i") == -7)
            #expect(row.real("r") == 1.5)
            #expect(row.text("t") == "ü'\"\\")
            #expect(row.text("again") == "ü'\"\\")
            #expect(row.flag("f") == true)
            #expect(row.text("n") == nil)
        }
    }

    @Test func aBatchIsOneTransaction() async throws {
        try await withDatabase { io, database in
            let insert = SQLCommand("INSERT INTO t (id) VALUES ($1)", [SQLValue(1)])
            await #expect {
                try await database.run([insert, insert], until: io.now + .seconds(5))
            } throws: { ($0 as? SQLError)?.isConflict == true }
            let count = SQLCommand("SELECT count(*) AS n FROM t")
            let rows = try await database.run([count], until: io.now + .seconds(5))[0].rows
            #expect(rows[0].integer("n") == 0)
            let done = try await database.run([insert], until: io.now + .seconds(5))
            #expect(done[0].affected == 1)
        }
    }

    @Test func aStatementThatRunsOnIsInterruptedAtItsDeadline() async throws {
        try await withDatabase { io, database in
            let endless = SQLCommand(
                """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                SELECT count(*) AS n FROM n
                """)
            await #expect(throws: SQLError.timedOut) {
                try await database.run([endless], until: io.now + .milliseconds(100))
            }
            // The thread is free again.
            let one = try await database.run(
                [SQLCommand("SELECT 1 AS one")], until: io.now + .seconds(5))
            #expect(one[0].rows[0].integer("one") == 1)
        }
    }

    @Test func migrationsRunOnceAndTheFileIsTheDaemonsAlone() async throws {
        try await withDatabase { io, database in
            try await database.open(Self.migrations, until: io.now + .seconds(5))
            let versions = try await database.run(
                [SQLCommand("SELECT version FROM schema_migrations")], until: io.now + .seconds(5))
            #expect(versions[0].rows.count == 1)
            let file = try await database.run(
                [SQLCommand("SELECT file FROM pragma_database_list WHERE name = 'main'")],
                until: io.now + .seconds(5))
            var status = stat()
            let path = try #require(file[0].rows[0].text("file"))
            #expect(unsafe stat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
        }
    }

    @Test func aMigrationThatFailsLeavesNothingBehind() async throws {
        try await withDatabase { io, database in
            let broken = [
                SQLMigration(version: 2, name: "two", text: "CREATE TABLE u (x); NONSENSE;")
            ]
            await #expect(throws: SQLError.self) {
                try await database.open(broken, until: io.now + .seconds(5))
            }
            try await database.open(Self.migrations, until: io.now + .seconds(5))
            let tables = try await database.run(
                [SQLCommand("SELECT name FROM sqlite_master WHERE name = 'u'")],
                until: io.now + .seconds(5))
            #expect(tables[0].rows.isEmpty)
        }
    }

    @Test(arguments: ["/nowhere/at/all.db", "/etc/passwd"])
    func whatIsNoDatabaseIsALossWithAReason(path: String) async throws {
        try await RingFixture.run { io in
            let database = SQLiteDatabase(io, SQLiteDatabase.Settings(path: path))
            do throws(SQLError) {
                try await database.open([], until: io.now + .seconds(5))
                Issue.record("it opened")
            } catch {
                guard case .connectionLost(let reason) = error else {
                    Issue.record("unexpected \(error)")
                    return
                }
                #expect(!reason.isEmpty)
            }
        }
    }

    @Test func anotherProcessThatWritesIsWaitedForAndThenGivenUp() async throws {
        let folder = try TemporaryFolder()
        try await RingFixture.run { io in
            var settings = SQLiteDatabase.Settings(path: folder.path + "/a.db")
            settings.busyTimeout = .milliseconds(50)
            let first = SQLiteDatabase(io, settings)
            try await first.open(Self.migrations, until: io.now + .seconds(5))
            let other = SQLiteDatabase(io, settings)
            try await other.open(Self.migrations, until: io.now + .seconds(5))
            let begin = [SQLCommand("BEGIN IMMEDIATE")]
            _ = try await other.run(begin, until: io.now + .seconds(5))
            let insert = [SQLCommand("INSERT INTO t (id) VALUES (1)")]
            await #expect(throws: SQLError.timedOut) {
                try await first.run(insert, until: io.now + .seconds(5))
            }
            _ = try await other.run([SQLCommand("COMMIT")], until: io.now + .seconds(5))
            let done = try await first.run(insert, until: io.now + .seconds(5))
            #expect(done[0].affected == 1)
        }
    }

    private func withDatabase(
        _ body: @escaping @Sendable (RingIO, SQLiteDatabase) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        try await RingFixture.run { io in
            let database = SQLiteDatabase(
                io, SQLiteDatabase.Settings(path: folder.path + "/test.db"))
            try await database.open(Self.migrations, until: io.now + .seconds(5))
            try await body(io, database)
            await database.close(until: io.now + .seconds(5))
        }
    }
}
