import OmniCore
import OmniIO

/// Answers questions with a language model that uses the MCP tools its asker may use.
///
/// What belongs to one question is in `ChatRun`; this is what all of them share, and who is asking
/// at the moment, so that a question can be taken back: its client went away, its asker was blocked.
final class Chat {
    struct Settings {
        var timeout = Duration.seconds(120)
        var iterationsMax = 10
        var questionBytesMax = 256 << 10
        /// Of one result, as the model sees it.
        var resultBytesMax = 200 << 10
        /// Questions at one time.
        var runsMax = 200
        var prices = PriceTable(prices: [])
    }

    struct Statistics {
        var asked: UInt64 = 0
        var answered: UInt64 = 0
        var failed: UInt64 = 0
        var refused: UInt64 = 0
        var cancelled: UInt64 = 0
        var usage = ModelUsage()
        var dollars = 0.0
    }

    let io: any IO
    let settings: Settings
    let model: (any LanguageModel)?
    let gateway: Gateway
    let access: Access
    let flows: FlowTracker
    let gates: FlowGates
    let store: SQLStore
    let log: Log
    private var runs: [ObjectIdentifier: ChatRun] = [:]
    var statistics = Statistics()

    init(
        io: any IO, settings: Settings, model: (any LanguageModel)?, gateway: Gateway,
        access: Access, flows: FlowTracker, gates: FlowGates, store: SQLStore, log: Log
    ) {
        self.io = io
        self.settings = settings
        self.model = model
        self.gateway = gateway
        self.access = access
        self.flows = flows
        self.gates = gates
        self.store = store
        self.log = log
    }

    static let notConfigured =
        "No language model is configured. Set [Chat] Provider= and Model=, and for a service that "
        + "needs one the credential chat-api-key."

    func start() {
        guard let model else { return }
        log.info("Chat started", fields: ["model": model.name])
        if settings.prices.price(of: model.name) == nil {
            log.warning(
                "the model has no price: what it costs is counted as nothing; set [Chat] Prices=",
                fields: ["model": model.name])
        }
    }

    func stop() { for run in runs.values { run.cancel("the server stops") } }

    /// Nil when as many questions as allowed are being answered.
    func begin(_ question: ChatQuestion, to sink: any ChatSink) -> ChatRun? {
        guard let model, runs.count < settings.runsMax else { return nil }
        statistics.asked += 1
        let span = gateway.telemetry.asked(question, of: model)
        var context = question.context
        context.trace = span?.context ?? context.trace
        return context.run {
            let run = ChatRun(self, model, question, sink)
            runs[ObjectIdentifier(run)] = run
            io.spawn {
                await run.live(span)
                self.runs[ObjectIdentifier(run)] = nil
            }
            return run
        }
    }

    /// Takes back the questions of those for whom there is a message.
    func dismiss(_ message: (Principal) -> String?) {
        for run in runs.values {
            if let text = message(run.question.principal) { run.block(text) }
        }
    }

    /// What somebody is greeted with; nil where nobody wrote anything.
    func welcome(_ principal: Principal) async -> String? {
        // A greeting is no reason to fail, or to wait.
        guard
            let found = try? await store.welcome(
                user: principal.userID, role: principal.role.rawValue)
        else { return nil }
        guard found.showsUsage else { return found.message }
        let usage = access.usage(of: principal)
        guard let limit = usage.costLimit else { return found.message }
        return
            "\(found.message)\n\nToday: \(Self.dollars(usage.costUsed)) of \(Self.dollars(limit))."
    }

    static func dollars(_ amount: Double) -> String {
        let cents = Int64((amount * 100).rounded())
        return "$\(cents / 100).\(cents % 100 < 10 ? "0" : "")\(cents % 100)"
    }
}

/// One question and who asks it.
struct ChatQuestion {
    let principal: Principal
    let text: String
    /// `audit_logs.source`: `sse_chat`, `ws_chat` or `api_chat`.
    let source: String
    /// The request it came with; over WebSocket each question is one.
    let context: RequestContext
    var conversation: FlowID?
    let address: String?

    var requestID: String { context.requestID }
}

/// Where an answer goes.
protocol ChatSink: AnyObject {
    func token(_ text: String)
    /// A call of a tool begins or ends, for whoever shows it.
    func tool(_ call: JSONValue)
    func done(_ result: JSONValue)
    func failed(_ reason: String)
    /// A gate was closed: not an error, but no answer.
    func refused(_ refusal: Access.Refusal)
    /// Blocked in the middle of it.
    func blocked(_ message: String)
}

extension ChatSink {
    func tool(_ call: JSONValue) {}
}
