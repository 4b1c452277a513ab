import OmniCore
import Testing

@Suite("RPCMessage")
struct RPCMessageTests {
    /// The message, and the text behind its ranges.
    private func read(_ json: String) throws(RPCFailure) -> (RPCMessage, TestText) {
        let text = TestText(json)
        let message = try text.bytes.withRawSpan { span throws(RPCFailure) in
            try RPCMessage.read(span)
        }
        return (message, text)
    }

    private func failure(_ json: String) -> (code: Int64, reason: RPCFailure.Reason, id: String?)? {
        do throws(RPCFailure) {
            _ = try read(json)
            return nil
        } catch {
            return (error.code.rawValue, error.reason, TestText(json).text(error.id))
        }
    }

    @Test func aRequestIsReadByRanges() throws {
        let (message, text) = try read(
            #" {"jsonrpc":"2.0","id":"a\"7","method":"tools/call","params":{"name":"x"}} "#)
        #expect(message.kind == .request)
        #expect(text.text(message.id) == #""a\"7""#)
        #expect(text.text(message.params) == #"{"name":"x"}"#)
        #expect(text.with { MCPMethod(message.method, in: $0) } == .callTool)
    }

    @Test func theFourKindsAreToldApart() throws {
        #expect(try read(#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#).0.kind == .request)
        #expect(try read(#"{"jsonrpc":"2.0","method":"x"}"#).0.kind == .notification)
        #expect(try read(#"{"jsonrpc":"2.0","id":1,"result":null}"#).0.kind == .result)
        let (error, text) = try read(
            #"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no","data":[1]}}"#)
        #expect(error.kind == .error)
        #expect(error.id == nil)
        let object = try #require(text.with { RPCErrorObject.read(error.payload!, in: $0) })
        #expect(object.code == .methodNotFound)
        #expect(text.text(object.data) == "[1]")
    }

    @Test func unknownMembersAndNullParamsAreHarmless() throws {
        let (message, _) = try read(
            #"{"jsonrpc":"2.0","x":{"id":2},"id":1,"method":"ping","params":null}"#)
        #expect(message.params == nil)
    }

    static let refusals: [(String, Int64, RPCFailure.Reason, String?)] = [
        ("", -32700, .notJSON, nil),
        (#"{"jsonrpc":"2.0","id":1,"method":"x""#, -32700, .notJSON, nil),
        ("1", -32600, .notAnObject, nil), ("[]", -32600, .notAnObject, nil),
        (#"{"id":1,"method":"x"}"#, -32600, .wrongVersion, "1"),
        (#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, -32600, .wrongVersion, "1"),
        (#"{"jsonrpc":2.0,"id":1,"method":"x"}"#, -32600, .wrongVersion, "1"),
        (#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600, .badID, nil),
        (#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, -32600, .badID, nil),
        (#"{"jsonrpc":"2.0","id":[1],"method":"x"}"#, -32600, .badID, nil),
        (#"{"jsonrpc":"2.0","id":true,"result":1}"#, -32600, .badID, nil),
        (#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600, .badMethod, "1"),
        (#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#, -32600, .badParams, "1"),
        (#"{"jsonrpc":"2.0","id":1,"method":"x","params":"y"}"#, -32600, .badParams, "1"),
        (#"{"jsonrpc":"2.0","id":1}"#, -32600, .noKind, "1"),
        (#"{"jsonrpc":"2.0"}"#, -32600, .noKind, nil),
        (#"{"jsonrpc":"2.0","result":1}"#, -32600, .badID, nil),
        (#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#, -32600, .noKind, "1"),
        (
            #"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}"#, -32600,
            .bothResultAndError, "1"
        ),
        (#"{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}"#, -32600, .badError, "1"),
        (#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, -32600, .badError, "1"),
        (
            #"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}"#, -32600,
            .duplicateMember, nil
        ),
        (#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600, .duplicateMember, nil),
    ]

    @Test(arguments: refusals) func refusalsNameCodeReasonAndRequest(
        _ json: String, _ code: Int64, _ reason: RPCFailure.Reason, _ id: String?
    ) {
        let refusal = failure(json)
        #expect(refusal?.code == code)
        #expect(refusal?.reason == reason)
        #expect(refusal?.id == id)
    }

    @Test func everyProperPrefixIsAParseError() {
        let json = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#
        for count in 0..<json.utf8.count {
            #expect(failure(String(json.prefix(count)))?.code == -32700)
        }
    }

    @Test func batchesAreRecognisedAndEmptyOnesRefused() throws {
        func incoming(_ json: String) throws(RPCFailure) -> RPCIncoming {
            try Array(json.utf8).withRawSpan { span throws(RPCFailure) in
                try RPCIncoming.read(span)
            }
        }
        let one = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
        if case .batch(let range) = try incoming("[\(one),\(one)]") {
            let text = TestText("[\(one),\(one)]")
            #expect(text.with { JSONScanner.count(of: range, in: $0) } == 2)
        } else {
            Issue.record("an array is a batch")
        }
        guard case .message = try incoming(one) else {
            Issue.record("an object is a message")
            return
        }
        #expect(throws: RPCFailure(.invalidRequest, .emptyBatch)) { try incoming(" [ ] ") }
    }

    @Test func answersCarryTheRawID() {
        var message: [UInt8] = []
        RPCWriter.result(id: Array("\"a\"".utf8), result: Array("{}".utf8), to: &message)
        #expect(
            String(decoding: message, as: UTF8.self) == #"{"jsonrpc":"2.0","id":"a","result":{}}"#)
        message = []
        RPCWriter.error(
            id: nil, code: .parseError, message: "bad \"x\"", data: Array("[1]".utf8), to: &message)
        #expect(
            String(decoding: message, as: UTF8.self)
                == #"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"bad \"x\"","data":[1]}}"#
        )
        message = []
        RPCWriter.request(id: 7, method: "tools/list", params: nil, to: &message)
        #expect(
            String(decoding: message, as: UTF8.self)
                == #"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#)
        message = []
        RPCWriter.notification(
            method: "notifications/cancelled", params: Array(#"{"requestId":7}"#.utf8), to: &message
        )
        #expect(
            String(decoding: message, as: UTF8.self)
                == #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#
        )
    }

    @Test func aFailureIsAnsweredToTheRequestItBelongsTo() throws {
        let text = TestText(#"{"jsonrpc":"2.0","id":"é","method":7}"#)
        do throws(RPCFailure) {
            _ = try read(String(decoding: text.bytes, as: UTF8.self))
            Issue.record("refused")
        } catch {
            var message: [UInt8] = []
            text.with { RPCWriter.failure(error, in: $0, to: &message) }
            #expect(
                String(decoding: message, as: UTF8.self)
                    == #"{"jsonrpc":"2.0","id":"é","error":{"code":-32600,"message":"method must be a string"}}"#
            )
        }
    }

    @Test func requestsPassOnWithOurIDAndTheirBytes() throws {
        let (message, text) = try read(
            #"{"jsonrpc":"2.0","id":"theirs","method":"tools/call","params":{ "name" : "x" }}"#)
        var forwarded: [UInt8] = []
        text.with { span in
            RPCWriter.request(
                id: 42, method: message.method!, params: message.params, of: span, to: &forwarded)
        }
        #expect(
            String(decoding: forwarded, as: UTF8.self)
                == #"{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{ "name" : "x" }}"#)
    }
}

@Suite("MCPParameters")
struct MCPParametersTests {
    private func read(_ json: String) throws(RPCFailure) -> MCPParameters {
        let text = TestText(json)
        return try text.bytes.withRawSpan { span throws(RPCFailure) in
            try MCPParameters.read(text.whole, in: span)
        }
    }

    @Test func whatTheGatewayRoutesByIsFound() throws {
        let json =
            #"{"name":"a__b","arguments":{"x":1},"_meta":{"progressToken":"t","traceparent":"00"}}"#
        let text = TestText(json)
        let parameters = try read(json)
        #expect(text.text(parameters.name) == #""a__b""#)
        #expect(text.text(parameters.arguments) == #"{"x":1}"#)
        #expect(text.text(parameters.meta?.progressToken) == #""t""#)
        #expect(text.text(parameters.meta?.traceparent) == #""00""#)
    }

    @Test(arguments: [
        #"{"name":"allowed","name":"forbidden"}"#, #"{"name":"a","n\u0061me":"b"}"#,
        #"{"arguments":{},"arguments":{"x":1}}"#, #"{"uri":"a","uri":"b"}"#,
        #"{"_meta":{},"_meta":{}}"#, #"{"_meta":{"progressToken":1,"progressToken":2}}"#,
    ])
    func aMemberWeRouteByMayNotOccurTwice(_ json: String) {
        #expect(throws: RPCFailure(.invalidParams, .duplicateMember)) { try read(json) }
    }

    @Test func wrongTypesAreNamed() {
        #expect(throws: RPCFailure(.invalidParams, .missingName)) { try read(#"{"name":1}"#) }
        #expect(throws: RPCFailure(.invalidParams, .missingURI)) { try read(#"{"uri":null}"#) }
        #expect(throws: RPCFailure(.invalidParams, .badParams)) { try read(#"{"arguments":[]}"#) }
        #expect(throws: RPCFailure(.invalidParams, .badCursor)) { try read(#"{"cursor":1}"#) }
        #expect(throws: RPCFailure(.invalidParams, .badEnvelope)) { try read(#"{"_meta":1}"#) }
    }

    @Test func nullReadsAsAbsentWhereClientsSendIt() throws {
        #expect(try read(#"{"arguments":null,"cursor":null,"_meta":null}"#) == MCPParameters())
    }
}

@Suite("ResultFacts")
struct ResultFactsTests {
    private func read(_ json: String) -> ResultFacts {
        let text = TestText(json)
        return text.with { ResultFacts.read(text.whole, in: $0) }
    }

    @Test func absentMeansCompleteAndNoError() {
        let facts = read(#"{"content":[{"type":"text","text":"isError"}]}"#)
        #expect(facts.completeness == .complete)
        #expect(!facts.isError)
        #expect(facts.ttlMilliseconds == nil)
        #expect(facts.listScope == .personal)
    }

    @Test func everyFactIsRead() {
        #expect(read(#"{"isError":true}"#).isError)
        #expect(read(#"{"resultType":"complete"}"#).completeness == .complete)
        #expect(read(#"{"resultType":"input_required"}"#).completeness == .inputRequired)
        #expect(read(#"{"resultType":"task"}"#).completeness == .task)
        #expect(read(#"{"resultType":"stream"}"#).completeness == .other)
        #expect(read(#"{"task":{"taskId":"1"}}"#).completeness == .task)
        #expect(read(#"{"ttlMs":300,"cacheScope":"public"}"#).ttlMilliseconds == 300)
        #expect(read(#"{"ttlMs":300,"cacheScope":"public"}"#).listScope == .open)
        #expect(read(#"{"ttlMs":-1}"#).ttlMilliseconds == nil)
        #expect(read(#"{"nextCursor":"x"}"#).nextCursor != nil)
        #expect(read(#"{"nextCursor":null}"#).nextCursor == nil)
    }
}
