import OmniCore
import OmniIO

/// A language model's service: one round of a conversation at a time.
protocol LanguageModel: AnyObject {
    /// The model's name, for records and prices.
    var name: String { get }
    /// Whose protocol it is, as `gen_ai.provider.name` has it.
    var provider: String { get }
    /// Sends the conversation; text is handed out as it comes. Ends at `deadline` at the latest.
    func answer(
        _ request: ModelRequest, until deadline: MonotonicTime, cancellation: HTTPCancellation,
        text: (String) -> Void
    ) async throws(ModelError) -> ModelTurn
}

struct ModelRequest {
    var system: String
    var messages: [ModelMessage]
    var tools: [ModelTool]
}

enum ModelMessage {
    case user(String)
    case assistant(ModelTurn)
    /// What the calls of the turn before brought, in their order.
    case results([ModelResult])
}

struct ModelTool {
    let name: String
    let description: String
    /// JSON Schema of the arguments.
    let schema: JSONValue
}

struct ModelCall {
    let id: String
    let name: String
    let arguments: JSONValue
}

struct ModelResult {
    let call: ModelCall
    let text: String
    let isError: Bool
}

/// What the model said in one round.
struct ModelTurn {
    var text = ""
    var calls: [ModelCall] = []
    var usage = ModelUsage()
    /// It ended because it may not say more.
    var isCutOff = false
}

/// Tokens; `input` does not count what `cached` does.
struct ModelUsage: Equatable {
    var input = 0
    var output = 0
    var cached = 0

    var total: Int { input + output + cached }

    static func += (left: inout Self, right: Self) {
        left.input += right.input
        left.output += right.output
        left.cached += right.cached
    }
}

enum ModelError: Error, Equatable, CustomStringConvertible {
    /// No connection, or an answer that says "later".
    case unavailable(String)
    /// It does not want this: a wrong key, a wrong model, a request it does not understand.
    case refused(status: Int, String)
    /// The stream ended in the middle, or is none.
    case broken(String)
    case timedOut
    case cancelled

    var description: String {
        switch self {
        case .unavailable(let reason): "the language model is not available: \(reason)"
        case .refused(let status, let reason):
            "the language model refused the request (\(status)): \(reason)"
        case .broken(let reason): "the language model's answer broke off: \(reason)"
        case .timedOut: "the language model did not answer in time"
        case .cancelled: "cancelled"
        }
    }
}

/// Reads one protocol's events; a machine that is fed and says what is new.
protocol ModelStreamReader {
    /// The text that this event brings, if any.
    mutating func received(_ event: JSONValue) throws(ModelError) -> String?
    /// What was said; throws when the stream ended too soon.
    func finished() throws(ModelError) -> ModelTurn
    /// What is known of the tokens, also of a stream that broke.
    var usage: ModelUsage { get }
}
