import OmniIO

// Sections about what stands behind us: [Database] [Redis] [Telemetry] [Chat] [FlowTracker] [Log].

extension Configuration {
    struct Database: Sendable, Hashable {
        /// `postgresql://…`; nil: SQLite in the state directory.
        var url: Secret?
        var password: Secret?
        var connections: Int
        var connectTimeout: Duration
        var statementTimeout: Duration
        var retention: Duration
        var spoolBytesMax: Int

        init(_ read: inout ConfigurationReader) {
            read.begin("Database")
            url = read.secret(
                "URL", credential: "database-url",
                "postgresql://user@host:port/name; empty: SQLite in the state directory.",
                isAllowed: { $0.hasPrefix("postgresql://") || $0.hasPrefix("postgres://") },
                expected: "a postgresql:// URL")
            password = read.secret(
                "Password", credential: "database-password",
                "The password that the URL leaves out.")
            connections = read.count(
                "Connections", 3, in: 1...32,
                "Connections to PostgreSQL, besides the one that listens.")
            connectTimeout = read.span(
                "ConnectTimeoutSec", .seconds(5), in: .milliseconds(100)...(.seconds(600)),
                "How long a connection attempt may take.", .live)
            statementTimeout = read.span(
                "StatementTimeoutSec", .seconds(10), in: .milliseconds(10)...(.seconds(3600)),
                "How long a statement may take.", .live)
            retention = read.span(
                "RetentionSec", .seconds(30 * 86_400),
                in: .seconds(60)...ConfigurationText.infinity,
                "How long flows and health records are kept.", .live)
            spoolBytesMax = read.size(
                "MaxSpoolBytes", 64 << 20, in: 1 << 20...16 << 30,
                "What is kept on disk for the database while it is away; beyond it the oldest goes."
            )
            read.require(
                password == nil || url != nil, "Database", "Password",
                "is given without a database URL", "set [Database] URL=, or remove it")
        }
    }

    struct Redis: Sendable, Hashable {
        var url: Secret?

        init(_ read: inout ConfigurationReader) {
            read.begin("Redis")
            url = read.secret(
                "URL", credential: "redis-url",
                "redis://[user:password@]host[:port][/db] or unix:///path[?db=N]; empty: this host "
                    + "alone.",
                isAllowed: { RedisTarget($0) != nil }, expected: "a redis:// or unix:/// URL")
        }
    }

    struct Telemetry: Sendable, Hashable {
        var otlpEndpoint: String?
        var exportInterval: Duration
        /// Which of traces, metrics and logs go there.
        var signals: [String]
        var metricsNeedToken: Bool
        /// Of the traces that begin here.
        var sampleRatio: Double

        init(_ read: inout ConfigurationReader) {
            read.begin("Telemetry")
            let endpoint = read.text(
                "OTLPEndpoint", "",
                "http(s) URL of an OTLP/HTTP collector, such as http://127.0.0.1:4318; empty: none."
            )
            otlpEndpoint = endpoint.isEmpty ? nil : endpoint
            exportInterval = read.span(
                "ExportSec", .seconds(5), in: .milliseconds(100)...(.seconds(3600)),
                "How often spans and records are sent; metrics at most every 10 s.")
            let known = ["traces", "metrics", "logs"]
            signals = read.list(
                "Signals", known, kind: "word", bounds: known.joined(separator: ", "),
                "What is sent to the collector.", text: { $0 },
                parse: { known.contains($0) ? $0 : nil })
            metricsNeedToken = read.truth(
                "MetricsNeedToken", true,
                "Answer /metrics only to those who show a credential.")
            sampleRatio = read.ratio(
                "SampleRatio", 1,
                "Share of the traces beginning here that is recorded; traces of callers follow their "
                    + "caller's decision.")
            read.require(
                endpoint.isEmpty || Configuration.isWebURL(endpoint), "Telemetry", "OTLPEndpoint",
                "is not an http or https URL", "write one, or leave it empty")
        }
    }

    struct Chat: Sendable, Hashable {
        enum Provider: String, CaseIterable, Sendable { case none, anthropic, openai }

        var provider: Provider
        var url: String?
        var model: String
        var apiKey: Secret?
        var timeout: Duration
        var iterationsMax: Int
        var tokensMax: Int
        var prices: PriceTable

        init(_ read: inout ConfigurationReader) {
            read.begin("Chat")
            provider = read.choice(
                "Provider", Provider.none, "The protocol of the language model's service.")
            let address = read.text("URL", "", "Where that service is; empty: the provider's own.")
            url = address.isEmpty ? nil : address
            model = read.text("Model", "", "Name of the model.", .live)
            apiKey = read.secret(
                "APIKey", credential: "chat-api-key", "Key for the language model's service.")
            timeout = read.span(
                "TimeoutSec", .seconds(120), in: .seconds(1)...(.seconds(3600)),
                "How long one answer of the model may take.", .live)
            iterationsMax = read.count(
                "MaxIterations", 10, in: 1...100,
                "Rounds of tool calls in one answer; beyond it the answer ends with a warning.",
                .live)
            tokensMax = read.count(
                "MaxTokens", 4096, in: 16...1_000_000,
                "Tokens the model may say in one round of an answer.")
            prices = PriceTable(
                prices: read.list(
                    "Prices", [], kind: "price",
                    "What models cost, in dollars per million tokens: MODEL=INPUT/OUTPUT/CACHED. The "
                        + "longest beginning of the model's name counts, * is any model.",
                    text: { $0.text }, parse: { PriceTable.Price($0) }))
            read.require(
                address.isEmpty || Configuration.isWebURL(address), "Chat", "URL",
                "is not an http or https URL", "write one, or leave it empty")
            read.require(
                provider == .none || !model.isEmpty, "Chat", "Provider", "is given without a model",
                "set [Chat] Model=")
        }
    }

    struct FlowTracker: Sendable, Hashable {
        var isEnabled: Bool
        var slowTime: Duration
        var streamEntriesMax: Int

        init(_ read: inout ConfigurationReader) {
            read.begin("FlowTracker")
            isEnabled = read.truth(
                "Enabled", true, "Whether it is recorded what each request did.")
            slowTime = read.span(
                "SlowSec", .seconds(30), in: .milliseconds(1)...ConfigurationText.infinity,
                "A checkpoint that takes longer is announced by an event.", .live)
            streamEntriesMax = read.count(
                "MaxStreamEntries", 1000, in: 10...1_000_000,
                "Entries of one flow's stream in Redis; beyond it the oldest go.")
        }
    }

    struct Log: Sendable, Hashable {
        var level: LogLevel
        var rateRecordsMax: Int
        var rateWindow: Duration

        init(_ read: inout ConfigurationReader) {
            read.begin("Log")
            level = read.level("Level", .info, "Records less grave than this are not made.", .live)
            rateRecordsMax = read.count(
                "RateLimitBurst", 2000, in: 10...1_000_000,
                "Records of one service in one interval; beyond it they are suppressed and counted."
            )
            rateWindow = read.span(
                "RateLimitIntervalSec", .seconds(10), in: .seconds(1)...(.seconds(3600)),
                "That interval.")
        }
    }

    static func isWebURL(_ text: String) -> Bool {
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
            return text.utf8.count > scheme.utf8.count && !text.contains(" ")
        }
        return false
    }
}
