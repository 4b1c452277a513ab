import OmniCore
import Testing

@Suite("RPCRelay")
struct RPCRelayTests {
    private func relayed(_ json: String, _ changes: RPCRelay.RequestChanges) throws -> String {
        var output: [UInt8] = []
        try Array(json.utf8).withRawSpan { span in
            let message = try RPCMessage.read(span)
            let parameters = try MCPParameters.read(message.params, in: span)
            RPCRelay.request(message, parameters, in: span, changes, to: &output)
        }
        return String(decoding: output, as: UTF8.self)
    }

    @Test func onlyIdentitiesChange() throws {
        let json =
            #"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":"#
            + #"{"name":"git__log","arguments":{ "n" : 1e2 },"_meta":{"progressToken":"p","k":1}}}"#
        #expect(
            try relayed(json, .init(id: 7, name: "log", progressToken: 99))
                == #"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":"#
                + #"{"name":"log","arguments":{ "n" : 1e2 },"_meta":{"progressToken":99,"k":1}}}"#)
    }

    @Test func whoDidNotAskForProgressGetsNone() throws {
        let json = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__b"}}"#
        #expect(
            try relayed(json, .init(id: 2, name: "b", progressToken: 5))
                == #"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"b"}}"#)
    }

    @Test func resourcesAreReadUnderTheirOwnURI() throws {
        let json = #"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"f__x:/é"}}"#
        #expect(
            try relayed(json, .init(id: 2, uri: "x:/é"))
                == #"{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"x:/é"}}"#)
    }

    @Test func anEnvelopeIsPutOnEvenWithoutParams() throws {
        let envelope = [JSONSplice.Change(ModernMeta.protocolVersion, value: "2026-07-28")]
        #expect(
            try relayed(
                #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, .init(id: 2, meta: envelope))
                == #"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":"#
                + #"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#)
        #expect(
            try relayed(
                #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
                .init(id: 2, meta: ModernRequest.envelopeRemoval))
                == #"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#)
    }

    @Test func progressAndCancellationFindTheirWayBack() throws {
        let progress = Array(
            #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":99,"progress":0.5}}"#
                .utf8)
        var output: [UInt8] = []
        try progress.withRawSpan { span in
            let message = try RPCMessage.read(span)
            #expect(RPCRelay.progressToken(message, in: span) == 99)
            #expect(RPCRelay.progress(message, token: Array("\"p\"".utf8), in: span, to: &output))
        }
        #expect(
            String(decoding: output, as: UTF8.self)
                == #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":0.5}}"#
        )
        let cancelled = TestText(
            #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x","reason":"r"}}"#
        )
        output = []
        try cancelled.bytes.withRawSpan { span in
            let message = try RPCMessage.read(span)
            #expect(cancelled.text(RPCRelay.cancelledRequest(message, in: span)) == #""x""#)
            #expect(RPCRelay.cancelled(message, requestID: Array("7".utf8), in: span, to: &output))
            #expect(!RPCRelay.progress(message, token: [0x31], in: span, to: &output))
        }
        #expect(
            String(decoding: output, as: UTF8.self)
                == #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"r"}}"#
        )
    }
}

@Suite("EraTranslation")
struct EraTranslationTests {
    private let server = Array(#"{"name":"omni2-native","version":"1"}"#.utf8)

    private func modern(
        _ json: String, _ method: MCPMethod, _ freshness: EraTranslation.Freshness = .unknown
    ) -> String {
        let text = TestText(json)
        return text.with { span in
            let facts = ResultFacts.read(text.whole, in: span)
            let splice = EraTranslation.toModern(
                facts, of: method, server: server, freshness: freshness, in: span)
            return String(decoding: splice.applied(to: text.whole, of: span), as: UTF8.self)
        }
    }

    private func handshake(_ json: String) -> String? {
        let text = TestText(json)
        return text.with { span in
            EraTranslation.toHandshake(ResultFacts.read(text.whole, in: span), in: span).map {
                String(decoding: $0.applied(to: text.whole, of: span), as: UTF8.self)
            }
        }
    }

    @Test func aToolResultSaysThatItIsComplete() throws {
        let result = try JSONValue(parsing: modern(#"{"content":[],"_meta":{"k":1}}"#, .callTool))
        #expect(result["resultType"] == "complete")
        #expect(result["ttlMs"] == nil)
        #expect(result["_meta"]?["k"] == 1)
        #expect(result["_meta"]?["io.modelcontextprotocol/serverInfo"]?["name"] == "omni2-native")
    }

    @Test func listsSayHowFreshTheyAre() throws {
        let freshness = EraTranslation.Freshness(timeToLiveMilliseconds: 5_000, scope: .open)
        let result = try JSONValue(parsing: modern(#"{"tools":[]}"#, .listTools, freshness))
        #expect(result["ttlMs"] == 5_000)
        #expect(result["cacheScope"] == "public")
        let own = try JSONValue(
            parsing: modern(
                #"{"tools":[],"ttlMs":9,"resultType":"complete"}"#, .listTools, freshness))
        #expect(own["ttlMs"] == 9)
        #expect(own["cacheScope"] == "private")
    }

    @Test func oneErasWordsAreTakenOffForTheOther() {
        #expect(
            handshake(
                #"{"resultType":"complete","tools":[],"ttlMs":1,"cacheScope":"public","_meta":{"#
                    + #""io.modelcontextprotocol/serverInfo":{},"k":1}}"#)
                == #"{"tools":[],"_meta":{"k":1}}"#)
        #expect(handshake(#"{"resultType":"input_required"}"#) == nil)
        #expect(handshake(#"{"content":[]}"#) == #"{"content":[]}"#)
    }

    @Test func thereAndBackIsTheSameResult() throws {
        for json in [#"{"content":[]}"#, #"{"tools":[1],"_meta":{"a":1}}"#, "{}"] {
            let back = try JSONValue(parsing: #require(handshake(modern(json, .listTools))))
            var expected = try JSONValue(parsing: json)
            if expected["_meta"] == nil { expected["_meta"] = [:] }
            #expect(back == expected)
        }
    }
}

@Suite("ListedItem")
struct ListedItemTests {
    @Test func entriesAreOfferedUnderTheGatewaysName() throws {
        let text = TestText(
            #"{"tools":[{"name":"log","description":"Shows.","inputSchema":{"type":"object"}},"#
                + #"{"nameless":1},7,{"name":""},{"name":"push","title":"Push"}]}"#)
        let items = text.with { ListedItem.entries(of: text.whole, .tool, in: $0) }
        #expect(items.map { text.text($0.identifier) } == [#""log""#, #""push""#])
        #expect(text.text(items[0].inputSchema) == #"{"type":"object"}"#)
        var json: [UInt8] = []
        text.with { span in
            items[0].append(
                as: "git__log", .tool, server: "git", description: "[git] ", in: span, to: &json)
        }
        #expect(
            String(decoding: json, as: UTF8.self)
                == #"{"name":"git__log","description":"[git] Shows.","inputSchema":{"type":"object"}}"#
        )
    }

    @Test func aShortenedNameIsToldInFullInTheTitle() throws {
        let text = TestText(#"{"prompts":[{"name":"a b"},{"name":"c d","title":"Own"}]}"#)
        let items = text.with { ListedItem.entries(of: text.whole, .prompt, in: $0) }
        var titles: [String?] = []
        for item in items {
            var json: [UInt8] = []
            text.with { span in
                item.append(
                    as: "x", .prompt, server: "my db", description: nil, in: span, to: &json)
            }
            titles.append(try JSONValue(parsing: json)["title"]?.string)
        }
        #expect(titles == ["my db__a b", "Own"])
    }

    @Test func resourcesAreIdentifiedByURI() {
        let text = TestText(
            #"{"resources":[{"uri":"a:b","name":"n"}],"resourceTemplates":[{"uriTemplate":"a:{x}"}]}"#
        )
        text.with { span in
            #expect(ListedItem.entries(of: text.whole, .resource, in: span).count == 1)
            #expect(ListedItem.entries(of: text.whole, .resourceTemplate, in: span).count == 1)
            #expect(ListedItem.entries(of: text.whole, .tool, in: span).isEmpty)
        }
    }
}
