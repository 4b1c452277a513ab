import OmniCore
import OmniIO

/// Anthropic's Messages API, streaming.
final class AnthropicModel: LanguageModel {
    let name: String
    let provider = "anthropic"
    private let connection: ModelConnection
    private let tokensMax: Int
    private static let version = "2023-06-01"

    /// `url`: the service, with or without `/v1/messages`.
    init(name: String, url: String?, key: Secret?, tokensMax: Int, http: HTTPClient, io: any IO) {
        self.name = name
        self.tokensMax = tokensMax
        var headers = [HTTPClientRequest.Header("anthropic-version", Self.version)]
        if let key { headers.append(.init("x-api-key", key.revealed)) }
        connection = ModelConnection(
            http: http, io: io,
            url: Self.address(url ?? "https://api.anthropic.com"), headers: headers)
    }

    static func address(_ url: String) -> String {
        let base = url.hasSuffix("/") ? String(url.dropLast()) : url
        if base.hasSuffix("/messages") { return base }
        return base + (base.hasSuffix("/v1") ? "/messages" : "/v1/messages")
    }

    func answer(
        _ request: ModelRequest, until deadline: MonotonicTime, cancellation: HTTPCancellation,
        text: (String) -> Void
    ) async throws(ModelError) -> ModelTurn {
        try await connection.stream(
            body(request), into: AnthropicStream(), until: deadline, cancellation: cancellation,
            text: text)
    }

    func body(_ request: ModelRequest) -> JSONValue {
        var body: JSONValue = [
            "model": .string(name), "max_tokens": JSONValue(tokensMax), "stream": true,
            // The same at the beginning of every question: worth keeping at the service.
            "system": [
                [
                    "type": "text", "text": .string(request.system),
                    "cache_control": ["type": "ephemeral"],
                ]
            ],
            "messages": .array(request.messages.map(Self.message)),
        ]
        if !request.tools.isEmpty {
            body["tools"] = .array(
                request.tools.map { tool in
                    [
                        "name": .string(tool.name), "description": .string(tool.description),
                        "input_schema": tool.schema,
                    ]
                })
        }
        return body
    }

    private static func message(_ message: ModelMessage) -> JSONValue {
        switch message {
        case .user(let text): return ["role": "user", "content": .string(text)]
        case .assistant(let turn):
            var content: [JSONValue] = []
            if !turn.text.isEmpty {
                content.append(["type": "text", "text": .string(turn.text)])
            }
            for call in turn.calls {
                content.append([
                    "type": "tool_use", "id": .string(call.id), "name": .string(call.name),
                    "input": call.arguments,
                ])
            }
            return ["role": "assistant", "content": .array(content)]
        case .results(let results):
            let content = results.map { result -> JSONValue in
                [
                    "type": "tool_result", "tool_use_id": .string(result.call.id),
                    "content": .string(result.text), "is_error": .bool(result.isError),
                ]
            }
            return ["role": "user", "content": .array(content)]
        }
    }
}

/// The events of one streamed message.
struct AnthropicStream: ModelStreamReader {
    private struct Block {
        var id = ""
        var name = ""
        var arguments = ""
    }

    private var turn = ModelTurn()
    /// Calls in the making, by the index of their block.
    private var blocks: [(index: Int64, block: Block)] = []
    private var isComplete = false
    private(set) var usage = ModelUsage()

    mutating func received(_ event: JSONValue) throws(ModelError) -> String? {
        switch event["type"]?.string {
        case "message_start": note(event["message"]?["usage"])
        case "content_block_start": begin(event)
        case "content_block_delta": return add(event)
        case "message_delta":
            note(event["usage"])
            turn.isCutOff = event["delta"]?["stop_reason"]?.string == "max_tokens"
        case "message_stop": isComplete = true
        case "error":
            let error = event["error"]
            throw .unavailable(error?["message"]?.string ?? error?["type"]?.string ?? "error")
        default: break
        }
        return nil
    }

    /// Counters are totals, not additions.
    private mutating func note(_ counts: JSONValue?) {
        func count(_ name: String) -> Int? { counts?[name]?.int.map { Int(clamping: $0) } }
        if let input = count("input_tokens") {
            usage.input = input + (count("cache_creation_input_tokens") ?? 0)
        }
        if let cached = count("cache_read_input_tokens") { usage.cached = cached }
        if let output = count("output_tokens") { usage.output = output }
    }

    private mutating func begin(_ event: JSONValue) {
        guard let block = event["content_block"], block["type"]?.string == "tool_use",
            let index = event["index"]?.int
        else { return }
        blocks.append(
            (
                index,
                Block(id: block["id"]?.string ?? "", name: block["name"]?.string ?? "")
            ))
    }

    private mutating func add(_ event: JSONValue) -> String? {
        let delta = event["delta"]
        if let text = delta?["text"]?.string {
            turn.text += text
            return text
        }
        if let piece = delta?["partial_json"]?.string, let index = event["index"]?.int,
            let place = blocks.firstIndex(where: { $0.index == index })
        {
            blocks[place].block.arguments += piece
        }
        return nil
    }

    func finished() throws(ModelError) -> ModelTurn {
        guard isComplete else { throw .broken("the stream ended before the message did") }
        var turn = turn
        turn.usage = usage
        for (_, block) in blocks {
            turn.calls.append(
                ModelCall(
                    id: block.id, name: block.name,
                    arguments: try ModelCall.arguments(block.arguments)))
        }
        return turn
    }
}

extension ModelCall {
    /// An empty text is an empty object; what is no object breaks the answer.
    static func arguments(_ text: String) throws(ModelError) -> JSONValue {
        if text.isEmpty { return [:] }
        guard let value = EventBus.object(Array(text.utf8)) else {
            throw .broken("the arguments of a call are no JSON object")
        }
        return value
    }
}
