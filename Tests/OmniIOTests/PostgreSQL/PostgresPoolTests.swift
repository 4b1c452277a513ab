import Glibc
import OmniCore
import OmniIO
import Testing

@Suite("PostgresPool")
struct PostgresPoolTests {
    @Test func valuesGoInAndComeOutByType() async throws {
        try await withPool { io, pool in
            let command = SQLCommand(
                """
                SELECT $1::bigint AS i, $2::numeric(4,2) AS r, $3::text AS t, $4::boolean AS f, \
                $5::text AS n, '{"a": 1}'::jsonb AS j
                """, [SQLValue(-7), SQLValue(1.5), SQLValue("ü'\"\\"), SQLValue(true), .null])
            let row = try await pool.run([command], until: io.now + .seconds(5))[0].rows[0]
            #expect(row.integer("i") == -7)
            #expect(row.real("r") == 1.5)
            #expect(row.text("t") == "ü'\"\\")
            #expect(row.flag("f") == true)
            #expect(row.text("n") == nil)
            #expect(row.text("j") == "{\"a\": 1}")
        }
    }

    @Test func aBatchIsOneTransactionAndTheConnectionStaysInStep() async throws {
        try await withPool { io, pool in
            let until = io.now + .seconds(10)
            _ = try await pool.run(
                [SQLCommand("CREATE TABLE t (id int PRIMARY KEY)")], until: until)
            let insert = "INSERT INTO t VALUES ($1)"
            let twice = [SQLCommand(insert, [SQLValue(1)]), SQLCommand(insert, [SQLValue(1)])]
            await #expect {
                try await pool.run(twice, until: until)
            } throws: { ($0 as? SQLError)?.isConflict == true }
            for _ in 0..<5 {
                let rows = try await pool.run(
                    [SQLCommand("SELECT count(*) AS n FROM t")], until: until)[0].rows
                #expect(rows[0].integer("n") == 0)
            }
            let results = try await pool.run(
                (1...500).map { SQLCommand(insert, [SQLValue($0)]) }, until: until)
            #expect(results.count == 500)
            #expect(results.allSatisfy { $0.affected == 1 })
        }
    }

    @Test func aStatementThatCannotBePreparedHarmsNoOther() async throws {
        try await withPool { io, pool in
            let until = io.now + .seconds(10)
            for _ in 0..<3 {
                await #expect {
                    try await pool.run(
                        [SQLCommand("SELECT 1 AS one"), SQLCommand("SELECT nonsense")],
                        until: until)
                } throws: { error in
                    if case SQLError.failed("42703", _) = error { true } else { false }
                }
                let one = try await pool.run([SQLCommand("SELECT 1 AS one")], until: until)
                #expect(one[0].rows[0].integer("one") == 1)
            }
        }
    }

    @Test func moreAnswersThanASocketHoldsPassInBothDirections() async throws {
        try await withPool { io, pool in
            let big = String(repeating: "x", count: 200_000)
            let commands = (0..<40).map { _ in
                SQLCommand("SELECT $1::text AS echo", [SQLValue(big)])
            }
            let results = try await pool.run(commands, until: io.now + .seconds(20))
            #expect(results.count == 40)
            #expect(results.allSatisfy { $0.rows[0].text("echo") == big })
        }
    }

    @Test func aSlowStatementEndsAtItsDeadlineAndTheNextOneWorks() async throws {
        try await withPool { io, pool in
            await #expect(throws: SQLError.timedOut) {
                try await pool.run(
                    [SQLCommand("SELECT pg_sleep(30)")], until: io.now + .milliseconds(200))
            }
            let one = try await pool.run(
                [SQLCommand("SELECT 1 AS one")], until: io.now + .seconds(5))
            #expect(one[0].rows[0].integer("one") == 1)
        }
    }

    @Test func theServersOwnTimeoutLeavesTheConnectionUsable() async throws {
        var settings = PostgresPool.Settings()
        settings.connectionsMax = 1
        settings.statementTimeout = .milliseconds(100)
        try await withPool(settings) { io, pool in
            let who = SQLCommand("SELECT pg_backend_pid() AS id")
            let before = try await pool.run([who], until: io.now + .seconds(5))[0].rows[0]
            await #expect(throws: SQLError.timedOut) {
                try await pool.run([SQLCommand("SELECT pg_sleep(30)")], until: io.now + .seconds(5))
            }
            let after = try await pool.run([who], until: io.now + .seconds(5))[0].rows[0]
            #expect(before == after)
        }
    }

    @Test func callersWaitInTurnAndTheOneTooManyIsRefused() async throws {
        var settings = PostgresPool.Settings()
        settings.connectionsMax = 1
        settings.waitingMax = 2
        try await withPool(settings) { io, pool in
            let outcomes = Outcomes()
            let done = Promise<Bool>(io)
            for number in 0..<4 {
                io.spawn {
                    do throws(SQLError) {
                        _ = try await pool.run(
                            [SQLCommand("SELECT pg_sleep(0.05)")], until: io.now + .seconds(10))
                        outcomes.texts.append("\(number)")
                    } catch {
                        outcomes.texts.append("\(number) \(error)")
                    }
                    if outcomes.texts.count == 4 { done.fulfil(true) }
                }
            }
            _ = await done.value(until: io.now + .seconds(20))
            #expect(outcomes.texts == ["3 crowded", "0", "1", "2"])
        }
    }

    @Test func aBackendThatWasEndedIsReplacedUnseen() async throws {
        var settings = PostgresPool.Settings()
        settings.connectionsMax = 1
        try await withPool(settings) { io, pool in
            let who = SQLCommand("SELECT pg_backend_pid() AS id")
            let first = try await pool.run([who], until: io.now + .seconds(5))[0].rows[0]
            let killer = try await pool.connect(until: io.now + .seconds(5))
            // Returns when the backend is gone.
            _ = try await killer.run(
                [
                    SQLCommand(
                        "SELECT pg_terminate_backend($1::int, 5000)",
                        [SQLValue(first.integer("id"))])
                ], until: io.now + .seconds(10))
            let second = try await pool.run([who], until: io.now + .seconds(5))[0].rows[0]
            #expect(first != second)
            killer.close()
        }
    }

    @Test func notificationsArriveAndSilenceIsNoError() async throws {
        try await withPool { io, pool in
            let listener = try await pool.connect(until: io.now + .seconds(5))
            _ = try await listener.run([SQLCommand("LISTEN news")], until: io.now + .seconds(5))
            #expect(try await listener.notifications(until: io.now + .milliseconds(20)) == [])
            _ = try await pool.run(
                [SQLCommand("SELECT pg_notify('news', 'hello')")], until: io.now + .seconds(5))
            let heard = try await listener.notifications(until: io.now + .seconds(5))
            #expect(heard.map(\.payload) == ["hello"])
            #expect(listener.isUsable)
            listener.close()
        }
    }

    @Test func closingThePoolEndsWhatIsUnderWay() async throws {
        try await withPool { io, pool in
            let answer = Promise<SQLError?>(io)
            io.spawn {
                do throws(SQLError) {
                    _ = try await pool.run(
                        [SQLCommand("SELECT pg_sleep(30)")], until: io.now + .seconds(40))
                    answer.fulfil(nil)
                } catch { answer.fulfil(error) }
            }
            await io.sleep(until: io.now + .milliseconds(200))
            pool.close()
            guard case .connectionLost?? = await answer.value(until: io.now + .seconds(5)) else {
                Issue.record("the statement goes on")
                return
            }
        }
    }

    @Test(arguments: [
        "not a url at all", "postgresql://omni@no-such-host.invalid/db",
        "postgresql://omni@127.0.0.1:1/db", "host=/nowhere dbname=db",
    ])
    func anUnreachableServerIsALossWithAReason(url: String) async throws {
        try await RingFixture.run { io in
            let pool = PostgresPool(io, url: url)
            do throws(SQLError) {
                _ = try await pool.run([SQLCommand("SELECT 1")], until: io.now + .seconds(20))
                Issue.record("it connected")
            } catch {
                guard case .connectionLost(let reason) = error else {
                    Issue.record("unexpected \(error)")
                    return
                }
                #expect(!reason.isEmpty)
            }
        }
    }

    @Test func aServerThatSpeaksGarbageIsALoss() async throws {
        try await RingFixture.run { io in
            let server = try GarbageServer(answer: "HTTP/1.1 400 Bad Request\r\n\r\nnonsense")
            let pool = PostgresPool(io, url: server.url)
            do throws(SQLError) {
                _ = try await pool.run([SQLCommand("SELECT 1")], until: io.now + .seconds(20))
                Issue.record("it connected")
            } catch {
                guard case .connectionLost = error else {
                    Issue.record("unexpected \(error)")
                    return
                }
            }
        }
    }

    @Test func aServerThatAcceptsAndSaysNothingEndsAtTheConnectTimeout() async throws {
        try await RingFixture.run { io in
            let server = try GarbageServer(answer: "")
            var settings = PostgresPool.Settings()
            settings.connectTimeout = .milliseconds(200)
            let pool = PostgresPool(io, url: server.url, settings)
            let start = io.now
            await #expect(throws: SQLError.timedOut) {
                try await pool.run([SQLCommand("SELECT 1")], until: io.now + .seconds(20))
            }
            #expect(io.now - start < .seconds(5))
        }
    }

    @Test func aNameIsLookedUpAndTheAddressReached() async throws {
        let server = try PostgresServer.shared.get()
        let database = try server.makeDatabase()
        try await RingFixture.run { io in
            let pool = PostgresPool(io, url: server.networkURL(database))
            let row = try await pool.run(
                [SQLCommand("SELECT host(inet_server_addr()) AS address")],
                until: io.now + .seconds(5))[0].rows[0]
            #expect(row.text("address") == "127.0.0.1")
            pool.close()
        }
    }

    @Test func encryptionChecksTheNameAndNotTheAddress() async throws {
        let server = try PostgresServer(tls: true)
        try await RingFixture.run { io in
            let strict = "?sslmode=verify-full&sslrootcert=" + server.certificate
            let pool = PostgresPool(io, url: server.networkURL("postgres") + strict)
            let command = SQLCommand(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            let row = try await pool.run([command], until: io.now + .seconds(10))[0].rows[0]
            #expect(row.flag("ssl") == true)
            pool.close()
            let address = server.networkURL("postgres").replacing("localhost", with: "127.0.0.1")
            let other = PostgresPool(io, url: address + strict)
            do throws(SQLError) {
                _ = try await other.run([command], until: io.now + .seconds(10))
                Issue.record("a certificate for another name was taken")
            } catch {
                #expect(error.reason.contains("certificate"), "\(error)")
            }
        }
    }

    @Test func aPasswordIsAskedAndNeverTold() async throws {
        let server = try PostgresServer.shared.get()
        let database = try server.makeDatabase()
        // The servers of these tests ask users of this name for it.
        try server.sql(
            "CREATE ROLE ada_asked LOGIN PASSWORD 'hunter2'", database: database)
        try await RingFixture.run { io in
            let command = SQLCommand("SELECT current_user::text AS name")
            for password in ["hunter2", "hunter3", ""] {
                let user = "ada_asked:" + password
                let url = "postgresql://\(user)@localhost:\(server.port)/\(database)"
                let pool = PostgresPool(io, url: url)
                do throws(SQLError) {
                    let row = try await pool.run([command], until: io.now + .seconds(10))[0].rows[0]
                    #expect(row.text("name") == "ada_asked")
                    #expect(password == "hunter2")
                } catch {
                    #expect(password != "hunter2")
                    #expect(error.reason.contains("password"))
                    #expect(!error.reason.contains("hunter"))
                }
                pool.close()
            }
        }
    }
}

private final class Outcomes {
    var texts: [String] = []
}

private func withPool(
    _ settings: PostgresPool.Settings = PostgresPool.Settings(),
    _ body: @escaping @Sendable (RingIO, PostgresPool) async throws -> Void
) async throws {
    let server = try PostgresServer.shared.get()
    let database = try server.makeDatabase()
    try await RingFixture.run { io in
        let pool = PostgresPool(io, url: server.url(database), settings)
        try await body(io, pool)
        pool.close()
    }
}
