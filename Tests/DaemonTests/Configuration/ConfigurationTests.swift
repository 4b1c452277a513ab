import OmniIO
import Testing

@testable import omni2_native

@Suite("Configuration: reading")
struct ConfigurationTests {
    private let tree = ConfigurationTree()
    private let main = "/etc/omni2/omni2.conf"

    @Test func nothingWrittenMeansDefaults() throws {
        let configuration = try tree.load()
        #expect(configuration.cache.entriesMax == 1000)
        #expect(configuration.cache.timeToLive == .seconds(300))
        #expect(configuration.cache.valueBytesMax == 1 << 20)
        #expect(configuration.coordinator.interval == .seconds(30))
        #expect(
            configuration.coordinator.backoff
                == [30, 60, 120, 240, 480, 600].map { .seconds($0) })
        #expect(configuration.circuitBreaker.failureThreshold == 5)
        #expect(configuration.webSocket.pingInterval == .seconds(20))
        #expect(
            configuration.http.listen.map(\.text) == ["127.0.0.1:8090", "/run/omni2/admin.sock"])
        #expect(configuration.access.adminTokenFile == "/state/admin-token")
        #expect(configuration.cache.socket == "/run/omni2/cache.sock")
        #expect(configuration.database.url == nil)
        #expect(configuration.log.level == .info)
        #expect(configuration.directories.state == "/state")
    }

    @Test func valuesOfAllKindsAreRead() throws {
        tree.write(
            main,
            """
            # a comment
            ; another
            [Cache]
            MaxEntries = 50
              TTLSec=1h 30s
            MaxValueBytes=64K
            [WebSocket]
            EchoEndpoint=yes
            LagPolicy=Close
            [Coordinator]
            BackoffSec=1 2 \\
            # between joined lines
               4
            BackoffSec=8
            [Log]
            Level=Debug
            [MCP]
            ImportFile=/etc/omni2/servers.json
            [X-Mine]
            Anything=goes
            """)
        let configuration = try tree.load()
        #expect(configuration.cache.entriesMax == 50)
        #expect(configuration.cache.timeToLive == .seconds(3630))
        #expect(configuration.cache.valueBytesMax == 65_536)
        #expect(configuration.webSocket.hasEchoEndpoint)
        #expect(configuration.webSocket.lagPolicy == .close)
        #expect(configuration.coordinator.backoff == [1, 2, 4, 8].map { .seconds($0) })
        #expect(configuration.log.level == .debug)
        #expect(configuration.mcp.importFile == "/etc/omni2/servers.json")
    }

    @Test func laterAssignmentsWinAndEmptyOnesTakeBack() throws {
        tree.write(
            main,
            """
            [Cache]
            MaxEntries=5
            MaxEntries=7
            TTLSec=1
            TTLSec=
            [Coordinator]
            BackoffSec=1 2
            BackoffSec=
            BackoffSec=9
            [HTTP]
            AllowedHosts=a.example
            AllowedHosts=
            [Cache]
            SweepSec=5
            """)
        let configuration = try tree.load()
        #expect(configuration.cache.entriesMax == 7)
        #expect(configuration.cache.timeToLive == .seconds(300))
        #expect(configuration.coordinator.backoff == [.seconds(9)])
        #expect(configuration.http.allowedHosts.isEmpty)
        #expect(configuration.cache.sweepInterval == .seconds(5))
    }

    @Test func dropInsAreMergedByNameAcrossDirectories() throws {
        func cache(_ entries: Int) -> String { "[Cache]\nMaxEntries=\(entries)\n" }
        tree.write(main, cache(1))
        tree.write("/usr/lib/omni2/omni2.conf.d/50-vendor.conf", cache(50))
        #expect(try tree.load().cache.entriesMax == 50, "a drop-in is stronger than the main file")
        tree.write("/etc/omni2/omni2.conf.d/10-early.conf", cache(10))
        #expect(try tree.load().cache.entriesMax == 50, "names are sorted over all directories")
        tree.write("/run/omni2/omni2.conf.d/60-run.conf", cache(60))
        #expect(try tree.load().cache.entriesMax == 60)
        tree.write("/run/omni2/omni2.conf.d/50-vendor.conf", cache(51))
        tree.write("/etc/omni2/omni2.conf.d/60-run.conf", "# hides the one in /run\n")
        #expect(try tree.load().cache.entriesMax == 51, "/etc hides /run, /run hides /usr/lib")
        tree.link("/etc/omni2/omni2.conf.d/50-vendor.conf", to: "/dev/null")
        #expect(try tree.load().cache.entriesMax == 10, "a mask hides all of its name")
        tree.write("/etc/omni2/omni2.conf.d/99-ignored.txt", cache(99))
        tree.write("/etc/omni2/omni2.conf.d/README", "not a configuration")
        #expect(try tree.load().cache.entriesMax == 10, "only .conf counts")
    }

    @Test func listsAppendAcrossFiles() throws {
        tree.write(main, "[HTTP]\nListen=127.0.0.1:1\n")
        tree.write("/etc/omni2/omni2.conf.d/a.conf", "[HTTP]\nListen=127.0.0.1:2\n")
        #expect(try tree.load().http.listen.map(\.text) == ["127.0.0.1:1", "127.0.0.1:2"])
        tree.write("/etc/omni2/omni2.conf.d/b.conf", "[HTTP]\nListen=\nListen=[::1]:3\n")
        #expect(try tree.load().http.listen.map(\.text) == ["[::1]:3"])
    }

    @Test func mainFileIsTheFirstThatExists() throws {
        tree.write("/usr/lib/omni2/omni2.conf", "[Cache]\nMaxEntries=2\n")
        #expect(try tree.load().cache.entriesMax == 2)
        tree.link(main, to: "/dev/null")
        #expect(try tree.load().cache.entriesMax == 1000, "masked")
    }

    @Test func namedFileStandsForTheHostsOwn() throws {
        tree.write(main, "[Cache]\nMaxEntries=1\n")
        tree.write("/tmp/my.conf", "[Cache]\nMaxEntries=2\nTTLSec=7\n")
        tree.write("/tmp/my.conf.d/x.conf", "[Cache]\nMaxEntries=3\n")
        let environment: Environment = ["HOME": "/home/me"]
        let configuration = try Configuration.load(
            .file("\(tree.root)/tmp/my.conf"), environment: environment)
        #expect(configuration.cache.entriesMax == 3)
        #expect(configuration.cache.timeToLive == .seconds(7))
        #expect(configuration.directories.state == "/home/me/.local/state/omni2")
        #expect(throws: ConfigurationError.self) {
            try Configuration.load(.file("\(tree.root)/tmp/no.conf"), environment: environment)
        }
    }

    @Test func environmentOverridesFiles() throws {
        tree.write(main, "[Cache]\nMaxEntries=1\n[Coordinator]\nBackoffSec=1 2\n")
        let configuration = try tree.load([
            "OMNI2_CACHE_MAX_ENTRIES": "12", "OMNI2_COORDINATOR_BACKOFF_SEC": "5 6s",
            "OMNI2_WEBSOCKET_PING_SEC": "1", "OMNI2_CIRCUIT_BREAKER_TIMEOUT_SEC": "2min",
            "OMNI2_HTTP_LISTEN": "", "OMNI2_URL": "somebody else's", "OMNI2": "",
        ])
        #expect(configuration.cache.entriesMax == 12)
        #expect(configuration.coordinator.backoff == [.seconds(5), .seconds(6)])
        #expect(configuration.webSocket.pingInterval == .seconds(1))
        #expect(configuration.circuitBreaker.openTime == .seconds(120))
        #expect(configuration.http.listen.isEmpty)
    }

    @Test func credentialsCarrySecretsAndNothingShowsThem() throws {
        tree.write("/credentials/database-url", "postgresql://omni@db/omni\n")
        tree.write("/credentials/database-password", "  hunter2 \n")
        tree.write("/credentials/unrelated", "kept")
        tree.write(main, "[Database]\nURL=postgresql://other/\n")
        let credentials = ["CREDENTIALS_DIRECTORY": "\(tree.root)/credentials"]
        let configuration = try tree.load(credentials)
        #expect(configuration.database.url?.revealed == "postgresql://omni@db/omni")
        #expect(configuration.database.password?.revealed == "  hunter2 ")
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!dumped.contains("hunter2"))
        #expect(!"\(configuration)".contains("hunter2"))
        let row = try #require(configuration.rows.first { $0.name == "[Database] Password=" })
        #expect(row.text == Secret.mask)
        var variables = credentials
        variables["OMNI2_DATABASE_URL"] = "postgresql://env/"
        #expect(try tree.load(variables).database.url?.revealed == "postgresql://env/")
    }

    @Test func xdgDirectoriesStandInForSystemds() throws {
        let xdg: Environment = ["XDG_STATE_HOME": "/x/state", "XDG_RUNTIME_DIR": "/x/run"]
        let configuration = try Configuration.load(tree.location, environment: xdg)
        #expect(configuration.directories.state == "/x/state/omni2")
        #expect(configuration.directories.runtime == "/x/run/omni2")
        let several = try tree.load(["STATE_DIRECTORY": "/var/lib/omni2:/var/lib/more"])
        #expect(several.directories.state == "/var/lib/omni2")
    }

    @Test func everyKeyIsInTheTableOnceWithAHelpLine() {
        let rows = Configuration.standard().rows
        #expect(Set(rows.map(\.name)).count == rows.count)
        let variables = rows.flatMap { ConfigurationNames.variables($0.section, $0.key) }
        #expect(Set(variables).count == variables.count, "no two keys share a variable")
        for row in rows {
            #expect(row.help.hasSuffix(".") && row.help.count > 10, "\(row.name)")
            #expect(row.key.first?.isUppercase == true)
        }
        let text = ConfigurationArguments.settings(rows)
        for row in rows { #expect(text.contains("  \(row.key)=\(row.defaultText)\n")) }
    }

    @Test func defaultsWrittenIntoAFileChangeNothing() throws {
        let standard = try tree.load()
        var text = ""
        for row in standard.rows where row.credential == nil && !row.text.isEmpty {
            text += "[\(row.section)]\n\(row.key)=\(row.text)\n"
        }
        tree.write(main, text)
        let read = try tree.load()
        for (one, other) in zip(standard.rows, read.rows) { #expect(one.text == other.text) }
    }
}
