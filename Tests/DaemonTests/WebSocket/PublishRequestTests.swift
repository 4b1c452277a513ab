import OmniCore
import Testing

@testable import omni2_native

/// What may come from outside as an event, and what of it reaches subscribers.
@Suite("PublishRequest")
struct PublishRequestTests {
    private static func request(_ text: String) -> PublishRequest? {
        Array(text.utf8).withRawSpan { PublishRequest($0) }
    }

    private static func members(_ text: String) -> String? {
        request(text).map { String(decoding: $0.event.members, as: UTF8.self) }
    }

    @Test func dataTravelsAsItWasWritten() {
        let data = #"{"n":1.50,"t":"\u00e9\n","big":12345678901234567890}"#
        #expect(Self.members(#"{"type":"a.b","data":"# + data + "}") == #""data":"# + data)
    }

    /// A line break would end a server-sent event in the middle.
    @Test func whiteSpaceBetweenPartsIsLeftOut() {
        let text = """
            { "type" : "a" ,\r\n "data" : {
            \t"x" : [ 1, "two  words" ]
            } }
            """
        #expect(Self.members(text) == #""data":{"x":[1,"two  words"]}"#)
    }

    @Test func anEventWithoutDataHasAnEmptyOne() {
        #expect(Self.members(#"{"type":"a","topic":null}"#) == #""data":{}"#)
        #expect(Self.members(#"{"topic":"ci","type":"a"}"#) == #""data":{},"topic":"ci""#)
    }

    @Test func theIdOfTheRequestIsKept() {
        let id = Self.request(#"{"type":"a","id":{"x":[1]}}"#)?.id
        #expect(id == Array(#"{"x":[1]}"#.utf8))
        #expect(Self.request(#"{"type":"a"}"#)?.id == nil)
    }

    /// Otherwise an event could be shown under one server's name to those who may see another's.
    @Test func theLastOfEqualNamesCounts() {
        let request = Self.request(
            #"{"type":"x","data":{"mcp_name":"one","mcp_name":"two"},"type":"y"}"#)
        #expect(request?.event.type == "y")
        #expect(request?.event.facts.mcpName == "two")
    }

    @Test func factsAreReadFromSpelledOutNames() {
        let facts = Self.request(
            """
            {"type": "\\u0061", "data": {"mcp\\u005fname": "DB", "failure_cycles": 3.0,
             "tool_name": "q", "user_id": 7}}
            """
        )?.event.facts
        #expect(facts?.type == "a")
        #expect(facts?.mcpName == "DB")
        #expect(facts?.failureCycles == 3)
        #expect(facts?.tool == "q")
        #expect(facts?.isAboutPeople == true)
    }

    @Test(arguments: [
        "", "[]", "{", #"{"type":"a"} x"#, #"{"data":{}}"#, #"{"type":7}"#, #"{"type":"No Name"}"#,
        #"{"type":"pong"}"#, #"{"type":"a","data":[]}"#, #"{"type":"a","data":null}"#,
        #"{"type":"a","topic":1}"#, #"{"type":"a","topic":"No Name"}"#,
        #"{"type":"a","data":{"x":"\ud800"}}"#,
    ])
    func whatIsNoEventIsRefused(_ text: String) {
        #expect(Self.request(text) == nil)
    }
}
