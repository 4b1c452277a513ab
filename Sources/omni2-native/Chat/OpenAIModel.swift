import OmniCore
import OmniIO

/// The chat completions that OpenAI defined and llama.cpp, Ollama, vLLM and others speak, streaming.
final class OpenAIModel: LanguageModel {
    let name: String
    let provider = "openai"
    private let connection: ModelConnection
    private let tokensMax: Int

    /// `url`: the service, with or without `/v1` and `/chat/completions`.
    init(name: String, url: String?, key: Secret?, tokensMax: Int, http: HTTPClient, io: any IO) {
        self.name = name
        self.tokensMax = tokensMax
        connection = ModelConnection(
            http: http, io: io, url: Self.address(url ?? "https://api.openai.com"),
            headers: key.map { [.init("Authorization", "Bearer \($0.revealed)")] } ?? [])
    }

    static func address(_ url: String) -> String {
        let base = url.hasSuffix("/") ? String(url.dropLast()) : url
        if base.hasSuffix("/chat/completions") { return base }
        return base + (base.hasSuffix("/v1") ? "" : "/v1") + "/chat/completions"
    }

    func answer(
        _ request: ModelRequest, until deadline: MonotonicTime, cancellation: HTTPCancellation,
        text: (String) -> Void
    ) async throws(ModelError) -> ModelTurn {
        try await connection.stream(
            body(request), into: OpenAIStream(), until: deadline, cancellation: cancellation,
            text: text)
    }

    func body(_ request: ModelRequest) -> JSONValue {
        let system: JSONValue = ["role": "system", "content": .string(request.system)]
        var body: JSONValue = [
            "model": .string(name), "stream": true, "max_tokens": JSONValue(tokensMax),
            "stream_options": ["include_usage": true],
            "messages": .array([system] + request.messages.flatMap(Self.messages)),
        ]
        if !request.tools.isEmpty {
            body["tools"] = .array(
                request.tools.map { tool in
                    let function: JSONValue = [
                        "name": .string(tool.name), "description": .string(tool.description),
                        "parameters": tool.schema,
                    ]
                    return ["type": "function", "function": function]
                })
        }
        return body
    }

    private static func messages(_ message: ModelMessage) -> [JSONValue] {
        switch message {
        case .user(let text): return [["role": "user", "content": .string(text)]]
        case .assistant(let turn):
            var message: JSONValue = [
                "role": "assistant", "content": turn.text.isEmpty ? .null : .string(turn.text),
            ]
            if !turn.calls.isEmpty {
                message["tool_calls"] = .array(
                    turn.calls.map { call in
                        let function: JSONValue = [
                            "name": .string(call.name), "arguments": .string(call.arguments.text),
                        ]
                        return ["id": .string(call.id), "type": "function", "function": function]
                    })
            }
            return [message]
        case .results(let results):
            return results.map { result in
                [
                    "role": "tool", "tool_call_id": .string(result.call.id),
                    "content": .string(result.text),
                ]
            }
        }
    }
}

/// The chunks of one streamed completion.
struct OpenAIStream: ModelStreamReader {
    private struct Call {
        var id = ""
        var name = ""
        var arguments = ""
    }

    private var turn = ModelTurn()
    /// Calls in the making, by their index; services that give none send whole calls.
    private var calls: [(index: Int64, call: Call)] = []
    private var isComplete = false
    private(set) var usage = ModelUsage()

    mutating func received(_ event: JSONValue) throws(ModelError) -> String? {
        if let error = event["error"], !error.isNull {
            throw .unavailable(error["message"]?.string ?? error.string ?? "error")
        }
        note(event["usage"])
        guard let choice = event["choices"]?[0] else { return nil }
        if let reason = choice["finish_reason"]?.string {
            isComplete = true
            turn.isCutOff = reason == "length"
        }
        for call in choice["delta"]?["tool_calls"]?.array ?? [] { add(call) }
        guard let text = choice["delta"]?["content"]?.string, !text.isEmpty else { return nil }
        turn.text += text
        return text
    }

    private mutating func note(_ counts: JSONValue?) {
        guard let counts, counts.object != nil else { return }
        func count(_ value: JSONValue?) -> Int { Int(clamping: value?.int ?? 0) }
        usage.cached = count(counts["prompt_tokens_details"]?["cached_tokens"])
        usage.input = max(0, count(counts["prompt_tokens"]) - usage.cached)
        usage.output = count(counts["completion_tokens"])
    }

    private mutating func add(_ piece: JSONValue) {
        let index = piece["index"]?.int ?? Int64(calls.count)
        let place: Int
        if let known = calls.firstIndex(where: { $0.index == index }) {
            place = known
        } else {
            calls.append((index, Call()))
            place = calls.count - 1
        }
        if let id = piece["id"]?.string { calls[place].call.id = id }
        if let name = piece["function"]?["name"]?.string { calls[place].call.name += name }
        if let text = piece["function"]?["arguments"]?.string {
            calls[place].call.arguments += text
        }
    }

    func finished() throws(ModelError) -> ModelTurn {
        guard isComplete else { throw .broken("the stream ended before the message did") }
        var turn = turn
        turn.usage = usage
        for (number, (_, call)) in calls.enumerated() {
            turn.calls.append(
                ModelCall(
                    // Some local services forget the id, by which the result is told apart.
                    id: call.id.isEmpty ? "call_\(number)" : call.id, name: call.name,
                    arguments: try ModelCall.arguments(call.arguments)))
        }
        return turn
    }
}
