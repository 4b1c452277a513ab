import OmniIO

// Sections about the MCP servers: [MCP] [Cache] [Coordinator] [CircuitBreaker].

extension Configuration {
    struct MCP: Sendable, Hashable {
        var importFile: String?
        /// Where stdio servers are found that are units; nil: they are children of ours.
        var unitSockets: String?
        var connectTimeout: Duration
        var handshakeTimeout: Duration
        var listTimeout: Duration
        var callTimeout: Duration
        var stopTimeout: Duration
        var resultBytesMax: Int
        var callsPerServerMax: Int
        var sessionsMax: Int
        var sessionIdleTimeout: Duration
        /// Whether *discover* may try addresses that are not of the public internet.
        var mayDiscoverPrivate: Bool

        init(_ read: inout ConfigurationReader) {
            read.begin("MCP")
            importFile = read.path(
                "ImportFile", nil,
                "An mcpServers JSON file, as MCP clients have it, read at every start.")
            unitSockets = read.path(
                "UnitSockets", nil,
                "Directory with the sockets of stdio servers that are units of systemd's; empty: the "
                    + "daemon starts such servers itself. The package sets it.")
            let short = Duration.milliseconds(10)...(.seconds(600))
            connectTimeout = read.span(
                "ConnectTimeoutSec", .seconds(5), in: short,
                "How long a connection to a server may take.", .live)
            handshakeTimeout = read.span(
                "HandshakeTimeoutSec", .seconds(15), in: short,
                "How long a server may take to answer initialize; a stdio server starts meanwhile.",
                .live)
            listTimeout = read.span(
                "ListTimeoutSec", .seconds(10), in: short,
                "How long a server may take to list its tools, prompts or resources.", .live)
            callTimeout = read.span(
                "CallTimeoutSec", .seconds(30), in: .milliseconds(10)...(.seconds(86_400)),
                "How long a tool may take, unless the server's entry says otherwise.", .live)
            stopTimeout = read.span(
                "StopTimeoutSec", .seconds(5), in: short,
                "How long a stdio server may take to end after its input was closed.", .live)
            resultBytesMax = read.size(
                "MaxResultBytes", 16 << 20, in: 4 << 10...1 << 30,
                "Longest answer of a server; a longer one is refused and said so.", .live)
            callsPerServerMax = read.count(
                "MaxCallsPerServer", 64, in: 1...65_536,
                "Calls in flight to one server; beyond it they wait their turn within their time.",
                .live)
            sessionsMax = read.count(
                "MaxSessions", 10_000, in: 1...1_000_000,
                "MCP sessions of clients; beyond it the longest idle one ends.")
            sessionIdleTimeout = read.span(
                "SessionIdleSec", .seconds(1800), in: .seconds(1)...ConfigurationText.infinity,
                "An MCP session that is not used for so long ends.", .live)
            mayDiscoverPrivate = read.truth(
                "DiscoverPrivate", false,
                "Let administrators try servers on private addresses before they register them.")
        }
    }

    struct Cache: Sendable, Hashable {
        var entriesMax: Int
        var bytesMax: Int
        var valueBytesMax: Int
        var timeToLive: Duration
        var staleTime: Duration
        var sweepInterval: Duration
        /// Calls of the last run made again after a start; 0: none.
        var warmEntriesMax: Int
        /// Where sibling processes ask for the segment; nil: nowhere.
        var socket: String?
        var socketGroup: String
        /// Whether peers with the daemon's own user are let in as readers.
        var allowsSameUser: Bool

        init(_ read: inout ConfigurationReader, _ directories: ConfigurationDirectories) {
            read.begin("Cache")
            entriesMax = read.count(
                "MaxEntries", 1000, in: 1...10_000_000,
                "Results kept; beyond it the least recently used goes.")
            bytesMax = read.size(
                "MaxBytes", 64 << 20, in: 1 << 20...64 << 30, "Size of the shared segment's values."
            )
            valueBytesMax = read.size(
                "MaxValueBytes", 1 << 20, in: 1 << 10...1 << 30,
                "Longest result that is kept.", .live)
            timeToLive = read.span(
                "TTLSec", .seconds(300), in: .milliseconds(1)...(.seconds(31_557_600)),
                "How long a result is served, unless the server's policy says otherwise.", .live)
            staleTime = read.span(
                "StaleSec", .zero, in: .zero...(.seconds(31_557_600)),
                "How much longer a result may be served, marked stale, while its server is away.",
                .live)
            sweepInterval = read.span(
                "SweepSec", .seconds(60), in: .milliseconds(100)...(.seconds(86_400)),
                "How often expired results are removed.", .live)
            warmEntriesMax = read.count(
                "WarmEntries", 0, in: 0...10_000,
                "Shared results made anew after a planned stop and start, the most used first.")
            socket = read.path(
                "Socket", "\(directories.runtime)/cache.sock",
                shown: "$RUNTIME_DIRECTORY/cache.sock",
                "Unix socket where sibling processes get the segment; empty: none.")
            socketGroup = read.text(
                "SocketGroup", "omni2-cache", "Members may read the cache, as root may.")
            allowsSameUser = read.truth(
                "SameUser", false,
                "Let processes of the daemon's own user read the cache, too.", .live)
            read.require(
                valueBytesMax <= bytesMax, "Cache", "MaxValueBytes",
                "is more than MaxBytes=\(ConfigurationText.text(size: bytesMax))",
                "lower it, or raise MaxBytes=")
        }
    }

    struct Coordinator: Sendable, Hashable {
        var interval: Duration
        var backoff: [Duration]
        var jitterPercent: Int
        var checkTimeout: Duration
        var pollInterval: Duration

        init(_ read: inout ConfigurationReader) {
            read.begin("Coordinator")
            let bounds = Duration.milliseconds(50)...(.seconds(86_400))
            interval = read.span(
                "IntervalSec", .seconds(30), in: bounds, "How often every server is checked.", .live
            )
            backoff = read.spans(
                "BackoffSec", [30, 60, 120, 240, 480, 600].map { .seconds($0) }, in: bounds,
                "Delays before each attempt to recover a server; the last one repeats.", .live)
            jitterPercent = read.count(
                "JitterPercent", 10, in: 0...50,
                "How much each delay varies, so that servers do not recover in step.", .live)
            checkTimeout = read.span(
                "CheckTimeoutSec", .seconds(10), in: .milliseconds(10)...(.seconds(600)),
                "How long one check may take.", .live)
            pollInterval = read.span(
                "PollSec", .seconds(30), in: bounds,
                "How often the registry is read again, besides the database's notices.", .live)
            read.require(
                !backoff.isEmpty, "Coordinator", "BackoffSec", "is an empty list",
                "write at least one delay")
            read.require(
                zip(backoff, backoff.dropFirst()).allSatisfy { $0 <= $1 }, "Coordinator",
                "BackoffSec", "becomes shorter", "write the delays in ascending order")
        }
    }

    struct CircuitBreaker: Sendable, Hashable {
        var isEnabled: Bool
        var failureThreshold: Int
        var openTime: Duration
        var halfOpenCallsMax: Int
        var failureCyclesMax: Int
        var autoDisables: Bool

        init(_ read: inout ConfigurationReader) {
            read.begin("CircuitBreaker")
            isEnabled = read.truth(
                "Enabled", true, "Whether circuits open at all.", .live)
            failureThreshold = read.count(
                "FailureThreshold", 5, in: 1...1000,
                "Transport failures in a row that open a server's circuit.", .live)
            openTime = read.span(
                "TimeoutSec", .seconds(60), in: .milliseconds(10)...(.seconds(86_400)),
                "How long an open circuit refuses calls before it lets some through.", .live)
            halfOpenCallsMax = read.count(
                "HalfOpenMaxCalls", 3, in: 1...1000,
                "Calls let through at a time while a circuit is half open.", .live)
            failureCyclesMax = read.count(
                "MaxFailureCycles", 3, in: 1...1000,
                "Half-open cycles that fail before the server is disabled.", .live)
            autoDisables = read.truth(
                "AutoDisable", true, "Whether such a server is disabled.", .live)
        }
    }
}
