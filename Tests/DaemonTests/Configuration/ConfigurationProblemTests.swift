import OmniIO
import Testing

@testable import omni2_native

@Suite("Configuration: problems")
struct ConfigurationProblemTests {
    private let tree = ConfigurationTree()
    private let main = "/etc/omni2/omni2.conf"

    /// One line of a file, and all that is said about it.
    @Test(arguments: [
        (
            "[Cache]\nMaxEntires=5",
            "2: [Cache] MaxEntires=: unknown key; did you mean MaxEntries=?"
        ),
        (
            "[Cashe]\nMaxEntries=5",
            "1: [Cashe]: unknown section; did you mean [Cache]?"
        ),
        (
            "[Zoo]",
            "1: [Zoo]: unknown section; known are [Main] [HTTP] [Database] [Access] [Cache] "
                + "[Coordinator] [CircuitBreaker] [WebSocket] [MCP] [Redis] [Telemetry] [Chat] "
                + "[FlowTracker] [Log]"
        ),
        (
            "[Cache]\nIntervalSec=5",
            "2: [Cache] IntervalSec=: unknown key; it belongs into section [Coordinator]"
        ),
        (
            "[Redis]\nColour=5",
            "2: [Redis] Colour=: unknown key; known are URL="
        ),
        (
            "[Cache]\nMaxEntries=many",
            "2: [Cache] MaxEntries=many: is not a number; write a whole number, 1 … 10000000"
        ),
        (
            "[Cache]\nMaxEntries=0",
            "2: [Cache] MaxEntries=0: is out of range; write a whole number, 1 … 10000000"
        ),
        (
            "[Cache]\nMaxValueBytes=1MB",
            "2: [Cache] MaxValueBytes=1MB: is not a size; write a size such as 64K or 16M, 1K … 1G"
        ),
        (
            "[Cache]\nTTLSec=5 parsecs",
            "2: [Cache] TTLSec=5 parsecs: is not a time span; write a time span such as 500ms, 30 or "
                + "5min, 1ms … 365d 6h"
        ),
        (
            "[CircuitBreaker]\nEnabled=maybe",
            "2: [CircuitBreaker] Enabled=maybe: is neither yes nor no; write yes or no"
        ),
        (
            "[WebSocket]\nLagPolicy=wait",
            "2: [WebSocket] LagPolicy=wait: is not one of the known words; write one of: resync, close"
        ),
        (
            "[Log]\nLevel=loud",
            "2: [Log] Level=loud: is not one of the known words; "
                + "write one of: critical, error, warning, notice, info, debug"
        ),
        (
            "[HTTP]\nListen=127.0.0.1:8090 localhost:80",
            "2: [HTTP] Listen=localhost:80: is not a listen address; write a listen address"
        ),
        (
            "[HTTP]\nListen=127.0.0.1:80\nListen=127.0.0.1:80",
            "3: [HTTP] Listen=127.0.0.1:80 127.0.0.1:80: names an address twice; "
                + "name each address once"
        ),
        (
            "[HTTP]\nAllowedOrigins=dashboard.example",
            "2: [HTTP] AllowedOrigins=dashboard.example: is not a web origin; write a web origin"
        ),
        (
            "[MCP]\nImportFile=servers.json",
            "2: [MCP] ImportFile=servers.json: is not an absolute path; write an absolute path"
        ),
        (
            "[Database]\nURL=mysql://root:pw@db/",
            "2: [Database] URL=: is not a postgresql:// URL; write a postgresql:// URL"
        ),
        (
            "[Database]\nPassword=x",
            "2: [Database] Password=********: is given without a database URL; "
                + "set [Database] URL=, or remove it"
        ),
        (
            "[Access]\nEncryptionKey=short",
            "2: [Access] EncryptionKey=: is not 64 hexadecimal digits; write 64 hexadecimal digits"
        ),
        (
            "[Cache]\nMaxBytes=1M\n\nMaxValueBytes=2M",
            "4: [Cache] MaxValueBytes=2M: is more than MaxBytes=1M; lower it, or raise MaxBytes="
        ),
        (
            "[Coordinator]\nBackoffSec=",
            "2: [Coordinator] BackoffSec=: is an empty list; write at least one delay"
        ),
        (
            "[Coordinator]\nBackoffSec=60 30",
            "2: [Coordinator] BackoffSec=1min 30s: becomes shorter; "
                + "write the delays in ascending order"
        ),
        (
            "[WebSocket]\nStaleSec=20",
            "2: [WebSocket] StaleSec=20s: is not longer than PingSec=20s: connections would be closed "
                + "before their pong can come; make StaleSec= at least twice PingSec="
        ),
        (
            "[Chat]\nProvider=openai",
            "2: [Chat] Provider=openai: is given without a model; set [Chat] Model="
        ),
        (
            "[Telemetry]\nOTLPEndpoint=collector:4318",
            "2: [Telemetry] OTLPEndpoint=collector:4318: is not an http or https URL; "
                + "write one, or leave it empty"
        ),
        (
            "MaxEntries=5",
            "1: MaxEntries=: stands before any section; put a section such as [Cache] above it"
        ),
        (
            "[Cache]\nMaxEntries 5",
            "2: “MaxEntries 5” is neither a section nor an assignment; "
                + "write Key=value, or begin the line with # to make it a comment"
        ),
        ("[Cache]\n=5", "2: a value without a key; write Key=value"),
        ("[Cache\nMaxEntries=5", "1: “[Cache” is no section header; write [Name]"),
        (
            "[Coordinator]\nBackoffSec=1 \\\n  2 \\\n  x",
            "2: [Coordinator] BackoffSec=x: is not a time span; write a time span such as 500ms, 30 "
                + "or 5min, 50ms … 1d"
        ),
    ])
    func isReportedWithFileLineAndRemedy(text: String, expected: String) {
        tree.write(main, text)
        #expect(tree.problems() == ["\(main):\(expected)"])
    }

    @Test func everythingIsReportedAtOnceInTheOrderOfTheTable() {
        tree.write(main, "[Cache]\nMaxEntries=x\nColour=red\n[Zoo]\nA=1\nB=2\nstray\n")
        tree.write("/etc/omni2/omni2.conf.d/10.conf", "[Log]\nLevel=loud\n")
        let problems = tree.problems(["OMNI2_CACHE_TTL_SEC": "soon", "OMNI2_CACHE_TLL_SEC": "1"])
        let places = problems.map { $0.prefix { $0 != ";" }.split(separator: ": ")[0] }
        #expect(
            places == [
                "\(main):7", "\(main):2", "environment OMNI2_CACHE_TTL_SEC",
                "/etc/omni2/omni2.conf.d/10.conf:2", "\(main):4", "\(main):3",
                "environment OMNI2_CACHE_TLL_SEC",
            ])
        #expect(problems.last?.hasSuffix("did you mean OMNI2_CACHE_TTL_SEC?") == true)
    }

    @Test func unreadableFilesAreProblemsNotCrashes() {
        tree.write(main, [0x5B, 0x43, 0x5D, 0x0A, 0xFF, 0xFE])
        #expect(tree.problems() == ["\(main):2: not UTF-8 text; save the file as UTF-8"])
        tree.write(main, Array("[Cache]\nMax\u{0}=1\n".utf8))
        #expect(tree.problems() == ["\(main):2: not UTF-8 text; save the file as UTF-8"])
        tree.write(main, [UInt8](repeating: 0x23, count: (1 << 20) + 1))
        #expect(
            tree.problems() == [
                "\(main): larger than 1048576 bytes; make it a readable file, or remove it"
            ])
        tree.write(main, "")
        tree.makeDirectory("/etc/omni2/omni2.conf.d/dir.conf")
        #expect(tree.problems().count == 1)
        #expect(tree.problems().first?.contains("not a regular file") == true)
    }

    @Test func missingDirectoriesAreNamed() {
        do throws(ConfigurationError) {
            _ = try Configuration.load(tree.location, environment: [:])
            Issue.record("no directory, no start")
        } catch {
            #expect(
                error.problems.map(\.subject) == ["$STATE_DIRECTORY", "$RUNTIME_DIRECTORY"])
        }
        #expect(
            tree.problems(["CREDENTIALS_DIRECTORY": "/nonexistent"]).isEmpty,
            "no credentials is no problem")
    }

    @Test func secretsAreNotRepeatedInProblems() {
        let problems = tree.problems([
            "OMNI2_REDIS_URL": "http://:hunter2@redis", "OMNI2_ACCESS_JWT_SECRET": "hunter2",
        ])
        #expect(problems.count == 2)
        #expect(!problems.joined().contains("hunter2"))
    }

    /// Whatever the bytes are, reading ends and says something or nothing.
    @Test func randomTextNeverTraps() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var state = seed
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        let pieces = [
            "[", "]", "=", "\\", "\n", " ", "#", ";", "Cache", "MaxEntries", "1", "é", "\r\n", "\t",
            "5min", "Listen", "HTTP", "[::1]:1", "\u{0}", "BackoffSec", "Coordinator",
        ]
        for _ in 0..<300 {
            let text = (0..<next(40)).map { _ in pieces[next(pieces.count)] }.joined()
            let file = ConfigurationFile(path: "f", bytes: Array(text.utf8))
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
            #expect(
                file.assignments.count + file.headers.count + file.problems.count <= lines,
                "seed \(seed)")
        }
    }
}
