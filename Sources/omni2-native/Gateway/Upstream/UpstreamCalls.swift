import OmniCore
import OmniIO

/// One request of ours that has no answer yet.
///
/// While the server waits for an answer of the client's, the call's own time stands still: people
/// take minutes where machines take seconds.
final class UpstreamCall {
    enum Outcome {
        /// The whole message, as it came, and where its parts are.
        case answered([UInt8], RPCMessage)
        case failed(UpstreamError)
    }

    /// Questions of one call that wait for an answer at one time.
    static let questionsMax = 16

    let id: Int64
    let method: MCPMethod
    /// Sending it twice does no harm, as far as the server can be believed.
    let isRepeatable: Bool
    /// What its HTTP request says besides.
    var headers: [HTTPClientRequest.Header] = []
    let listener: (any UpstreamCallListener)?
    /// Ends the HTTP request that carries it.
    let cancellation = HTTPCancellation()
    /// Moves while the server waits for the client.
    private(set) var deadline: MonotonicTime
    /// Of the server, by the raw ids it gave them.
    private(set) var questions: [[UInt8]: UpstreamQuestion] = [:]
    private var timeLeft = Duration.zero
    private let io: any IO
    private(set) var outcome: Outcome?
    private var waiter: WaitTicket?

    init(
        id: Int64, method: MCPMethod, isRepeatable: Bool, io: any IO, until deadline: MonotonicTime,
        listener: (any UpstreamCallListener)? = nil
    ) {
        self.id = id
        self.method = method
        self.isRepeatable = isRepeatable
        self.io = io
        self.deadline = deadline
        self.listener = listener
    }

    var hasEnded: Bool { outcome != nil }

    /// What passing the deadline means now: a client that does not answer is no fault of the server.
    var lateness: UpstreamError {
        questions.isEmpty ? .timedOut("\(method.name)") : .unanswered("\(method.name)")
    }

    /// The first outcome stays.
    func end(_ outcome: Outcome) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        let open = questions
        questions = [:]
        for question in open.values { question.withdraw() }
        if case .failed = outcome { cancellation.cancel() }
        wakeWaiter()
    }

    /// Nil when the deadline came first.
    func awaitOutcome() async -> Outcome? {
        while outcome == nil, io.now < deadline {
            let ticket = io.makeTicket()
            waiter = ticket
            _ = await io.wait(for: ticket, until: deadline)
            waiter = nil
        }
        return outcome
    }

    private func wakeWaiter() {
        guard let ticket = waiter else { return }
        waiter = nil
        io.wake(ticket)
    }

    // MARK: Questions

    func questionBegan(_ id: [UInt8], _ question: UpstreamQuestion, until limit: MonotonicTime) {
        if questions.isEmpty { timeLeft = max(.milliseconds(1), deadline - io.now) }
        questions[id] = question
        deadline = max(deadline, limit)
    }

    func questionEnded(_ id: [UInt8]) {
        guard questions.removeValue(forKey: id) != nil, questions.isEmpty, !hasEnded else { return }
        deadline = io.now + timeLeft
        // Whoever waits for bytes waits with the longer deadline: the shorter one is kept here.
        let limit = deadline
        io.spawn { [weak self, io] in
            await io.sleep(until: limit)
            guard let self, self.deadline == limit, self.questions.isEmpty else { return }
            self.end(.failed(self.lateness))
        }
    }
}

/// Lets the caller of a tool end the call: the server is told, and the call throws `stopped`.
final class UpstreamCancellation {
    private(set) var reason: String?
    /// What the call under way wants done.
    var action: ((String) -> Void)?

    func cancel(_ reason: String) {
        guard self.reason == nil else { return }
        self.reason = reason
        action?(reason)
        action = nil
    }
}

/// The requests in flight, by the ids we gave them. Ids are never used again in one process, so an
/// answer that comes late finds nobody.
struct UpstreamCalls {
    private var calls: [Int64: UpstreamCall] = [:]
    private var lastID: Int64 = 0
    /// Answers to calls that had ended, or that never were.
    private(set) var lateAnswers = 0

    var count: Int { calls.count }

    mutating func nextID() -> Int64 {
        lastID += 1
        return lastID
    }

    mutating func add(_ call: UpstreamCall) { calls[call.id] = call }

    mutating func remove(_ call: UpstreamCall) { calls[call.id] = nil }

    subscript(id: Int64) -> UpstreamCall? { calls[id] }

    mutating func answer(_ id: Int64?, _ bytes: [UInt8], _ message: RPCMessage) {
        guard let id, let call = calls.removeValue(forKey: id), !call.hasEnded else {
            lateAnswers += 1
            return
        }
        call.end(.answered(bytes, message))
    }

    mutating func failAll(_ error: UpstreamError) {
        let failing = calls
        calls = [:]
        for call in failing.values { call.end(.failed(error)) }
    }

    var hasListeners: Bool { calls.values.contains { $0.listener != nil } }

    /// The latest call with a listener when all of them are of one asker; nil otherwise.
    var onlyAsked: UpstreamCall? {
        var latest: UpstreamCall?
        for call in calls.values {
            guard let asker = call.listener?.asker else { continue }
            if let known = latest?.listener?.asker, known != asker { return nil }
            if latest.map({ $0.id < call.id }) ?? true { latest = call }
        }
        return latest
    }

    func withdrawQuestion(_ id: [UInt8]) {
        for call in calls.values {
            guard let question = call.questions[id] else { continue }
            question.withdraw()
            call.questionEnded(id)
        }
    }
}
