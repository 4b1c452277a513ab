import OmniCore
import Testing

@testable import omni2_native

@Suite("Model streams")
struct ModelStreamTests {
    private func read<Reader: ModelStreamReader>(
        _ reader: Reader, _ events: [String]
    ) throws -> (text: [String], turn: ModelTurn) {
        var reader = reader
        var text: [String] = []
        for event in events {
            if let piece = try reader.received(try JSONValue(parsing: event)) { text.append(piece) }
        }
        return (text, try reader.finished())
    }

    private static let anthropic = [
        #"{"type":"message_start","message":{"usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":1}}}"#,
        #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#,
        #"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"a__b","input":{}}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"k\""}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":":1}"}}"#,
        #"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":20}}"#,
        #"{"type":"message_stop"}"#,
    ]

    @Test func anthropicsTextCallsAndTokensAreReadFromPieces() throws {
        let (text, turn) = try read(AnthropicStream(), Self.anthropic)
        #expect(text == ["Hel", "lo"] && turn.text == "Hello")
        #expect(turn.calls.map(\.name) == ["a__b"] && turn.calls[0].id == "t1")
        #expect(turn.calls[0].arguments == ["k": 1])
        #expect(turn.usage == ModelUsage(input: 7, output: 20, cached: 3))
    }

    @Test(arguments: 0..<8) func aStreamThatEndsTooSoonIsBroken(_ count: Int) {
        #expect(throws: ModelError.self) {
            try read(AnthropicStream(), Array(Self.anthropic.prefix(count)))
        }
    }

    private static let openAI = [
        #"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
        #"{"choices":[{"delta":{"content":"Hi"}}]}"#,
        #"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"a__b","arguments":""}}]}}]}"#,
        #"{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"name":"c__d","arguments":"{}"}}]}}]}"#,
        #"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"k\":1}"}}]}}]}"#,
        #"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        #"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}"#,
    ]

    @Test func chunksOfParallelCallsAreKeptApart() throws {
        let (text, turn) = try read(OpenAIStream(), Self.openAI)
        #expect(text == ["Hi"])
        #expect(turn.calls.map(\.name) == ["a__b", "c__d"])
        #expect(turn.calls.map(\.id) == ["c1", "call_1"])
        #expect(turn.calls[0].arguments == ["k": 1])
        #expect(turn.usage == ModelUsage(input: 6, output: 5, cached: 4))
    }

    @Test func argumentsThatAreNoObjectBreakTheAnswer() {
        #expect(throws: ModelError.self) {
            try read(
                OpenAIStream(),
                [
                    #"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"a","arguments":"[1]"}}]}}]}"#,
                    #"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
                ])
        }
    }

    @Test func addressesAreCompleted() {
        for (url, whole) in [
            ("http://h:1", "http://h:1/v1/chat/completions"),
            ("http://h:1/v1", "http://h:1/v1/chat/completions"),
            ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
            ("http://h:1/x/chat/completions", "http://h:1/x/chat/completions"),
        ] {
            #expect(OpenAIModel.address(url) == whole)
        }
        #expect(AnthropicModel.address("https://h") == "https://h/v1/messages")
        #expect(AnthropicModel.address("https://h/v1/messages") == "https://h/v1/messages")
    }
}

@Suite("Prices")
struct PriceTableTests {
    @Test func theLongestBeginningCounts() throws {
        let table = PriceTable(
            prices: try ["claude=1/2", "claude-opus=10/20/1", "*=5/5"].map {
                try #require(PriceTable.Price($0))
            })
        let usage = ModelUsage(input: 1_000_000, output: 1_000_000, cached: 1_000_000)
        #expect(table.dollars(usage, of: "claude-opus-5") == 31)
        #expect(table.dollars(usage, of: "claude-mini") == 4)
        #expect(table.dollars(usage, of: "other") == 15)
        #expect(PriceTable(prices: []).dollars(usage, of: "other") == 0)
    }

    @Test(arguments: ["", "x", "=1/2", "x=1", "x=1/", "x=-1/2", "x=1/2/3/4", "x=nan/1"])
    func whatIsNoPriceIsRefused(_ text: String) { #expect(PriceTable.Price(text) == nil) }
}
