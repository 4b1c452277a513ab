import OmniCore
import OmniIO

/// One request of ours that has no answer yet.
final class UpstreamCall {
    enum Outcome {
        /// The whole message, as it came, and where its parts are.
        case answered([UInt8], RPCMessage)
        case failed(UpstreamError)
    }

    let id: Int64
    let method: String
    /// Sending it twice does no harm, as far as the server can be believed.
    let isRepeatable: Bool
    /// What its HTTP request says besides.
    var headers: [HTTPClientRequest.Header] = []
    /// The raw params of each progress notification.
    let progress: (([UInt8]) -> Void)?
    /// Ends the HTTP request that carries it.
    let cancellation = HTTPCancellation()
    private let io: any IO
    private(set) var outcome: Outcome?
    private var waiter: WaitTicket?

    init(
        id: Int64, method: String, isRepeatable: Bool, io: any IO,
        progress: (([UInt8]) -> Void)? = nil
    ) {
        self.id = id
        self.method = method
        self.isRepeatable = isRepeatable
        self.io = io
        self.progress = progress
    }

    var hasEnded: Bool { outcome != nil }

    /// The first outcome stays.
    func end(_ outcome: Outcome) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        if case .failed = outcome { cancellation.cancel() }
        guard let ticket = waiter else { return }
        waiter = nil
        io.wake(ticket)
    }

    /// Nil when the deadline came first.
    func outcome(until deadline: MonotonicTime) async -> Outcome? {
        while outcome == nil {
            let ticket = io.makeTicket()
            waiter = ticket
            guard await io.wait(for: ticket, until: deadline) else {
                waiter = nil
                break
            }
        }
        return outcome
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
}
