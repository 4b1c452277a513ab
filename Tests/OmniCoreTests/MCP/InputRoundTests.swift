import OmniCore
import Testing

@Suite("InputRound")
struct InputRoundTests {
    private func round(_ json: String) -> (asked: [String], state: String?)? {
        let text = TestText(json)
        return text.with { span in
            let facts = ResultFacts.read(text.whole, in: span)
            return InputRound(facts, in: span).map { round in
                (
                    round.requests.map { request in
                        let key = JSONScanner.string(request.key, in: span) ?? ""
                        let params = request.params.map { span.string($0) } ?? "none"
                        return
                            "\(key) \(request.method.map { "\($0.name)" } ?? "unknown") \(params)"
                    }, JSONScanner.string(round.state, in: span)
                )
            }
        }
    }

    @Test func `a complete result asks nothing`() {
        #expect(round(#"{"content":[]}"#) == nil)
        #expect(round(#"{"resultType":"complete","inputRequests":{}}"#) == nil)
    }

    @Test func `what is asked is read in order, unknown methods included`() throws {
        let found = try #require(
            round(
                #"{"resultType":"input_required","requestState":"s","inputRequests":{"#
                    + #""a":{"method":"elicitation/create","params":{"message":"?"}},"#
                    + #""b":{"method":"roots/list"},"c":{"method":"dance"},"d":7}}"#))
        #expect(
            found.asked == [
                #"a elicitation/create {"message":"?"}"#, "b roots/list none", "c unknown none",
                "d unknown none",
            ])
        #expect(found.state == "s")
    }

    @Test func `a round may carry nothing but its state`() throws {
        let found = try #require(round(#"{"resultType":"input_required","requestState":"s"}"#))
        #expect(found.asked.isEmpty && found.state == "s")
    }

    @Test func `what is written is read again`() throws {
        let json = InputRound.result(
            asking: [
                ("q 1", .elicit, Array(#"{"message":"\n"}"#.utf8)), ("q2", .listRoots, nil),
            ], state: "omni2")
        let found = try #require(round(String(decoding: json, as: UTF8.self)))
        #expect(
            found.asked == [#"q 1 elicitation/create {"message":"\n"}"#, "q2 roots/list none"])
        #expect(found.state == "omni2")
    }

    @Test func `answers go back under their keys, with the state as it came`() throws {
        let changes = InputRound.changes(
            answers: [
                (Array(#""a""#.utf8), Array(#"{"action":"accept"}"#.utf8)),
                (Array(#""b\u00fc""#.utf8), Array("{}".utf8)),
            ], state: Array(#""s\u0020""#.utf8))
        let params = TestText(#"{"name":"x"}"#)
        let text = params.with { span in
            var splice = JSONSplice()
            splice.edit(params.whole, in: span, changes)
            return String(decoding: splice.applied(to: params.whole, of: span), as: UTF8.self)
        }
        #expect(
            text == #"{"inputResponses":{"a":{"action":"accept"},"b\u00fc":{}},"#
                + #""requestState":"s\u0020","name":"x"}"#)
    }

    @Test func `the words of log levels are ordered by gravity`() {
        let words = MCPLogLevel.allCases.map { "\($0.text)" }
        #expect(
            words == [
                "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
            ])
        #expect(MCPLogLevel.debug < .info && MCPLogLevel.alert < .emergency)
        let text = TestText(#"["notice","loud",1]"#)
        text.with { span in
            var elements = JSONElements(of: text.whole, in: span)
            #expect(MCPLogLevel(elements.next(in: span), in: span) == .notice)
            #expect(MCPLogLevel(elements.next(in: span), in: span) == nil)
            #expect(MCPLogLevel(elements.next(in: span), in: span) == nil)
        }
    }
}
