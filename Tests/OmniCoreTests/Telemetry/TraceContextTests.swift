import OmniCore
import Testing

@Suite("Trace context")
struct TraceContextTests {
    private static let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test func theRecommendationsExampleIsReadAndWritten() throws {
        let context = try #require(TraceContext(parent: Self.parent, state: "a=1"))
        #expect(context.traceID.text == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(context.spanText == "00f067aa0ba902b7")
        #expect(context.isSampled)
        #expect(context.state == "a=1")
        #expect(context.parent == Self.parent)
    }

    @Test func aLaterVersionMaySayMore() {
        let later = "01" + Self.parent.dropFirst(2)
        #expect(TraceContext(parent: later + "-what-it-says") != nil)
        #expect(TraceContext(parent: Self.parent + "-what-it-says") == nil)
    }

    @Test(arguments: [
        "", "00", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
    ])
    func anythingElseIsNone(_ text: String) { #expect(TraceContext(parent: text) == nil) }

    @Test func everyTruncationIsNone() {
        for count in 0..<Self.parent.utf8.count {
            #expect(TraceContext(parent: String(Self.parent.prefix(count))) == nil)
        }
    }

    @Test func aStateThatIsTooLongIsLeftOut() {
        let long = String(repeating: "a=1,", count: 200)
        #expect(TraceContext(parent: Self.parent, state: long)?.state.isEmpty == true)
        #expect(Baggage.accepted(String(repeating: "x", count: 8193)) == nil)
        #expect(Baggage.accepted("user=7") == "user=7")
    }
}
