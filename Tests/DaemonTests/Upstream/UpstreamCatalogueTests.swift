import Testing

@testable import omni2_native

@Suite("What a server offers")
struct UpstreamCatalogueTests {
    private func item(_ json: String) -> UpstreamCatalogue.Item {
        UpstreamCatalogue.Item(name: "count", json: Array(json.utf8))
    }

    /// FastMCP writes its schemas in another order in each era of the protocol.
    @Test func spellingIsNoDifference() {
        let one = item(#"{"name":"count","inputSchema":{"type":"object","required":["a","b"]}}"#)
        let other = item(
            #"{"inputSchema": {"required": ["a", "b"], "type": "\u006fbject"}, "name": "count"}"#)
        #expect(one == other)
    }

    @Test(arguments: [
        #"{"name":"count","inputSchema":{"type":"object","required":["b","a"]}}"#,
        #"{"name":"count","inputSchema":{"type":"object"}}"#,
        #"{"name":"count","inputSchema":{"type":"object","required":["a","b"]},"title":"Count"}"#,
    ])
    func whatItSaysIs(_ changed: String) {
        let one = item(#"{"name":"count","inputSchema":{"type":"object","required":["a","b"]}}"#)
        #expect(one != item(changed))
    }

    @Test func whatTheServerSaysOfItselfIsNoPartOfTheLists() {
        var one = UpstreamCatalogue()
        one.tools = [item(#"{"name":"count"}"#)]
        var other = one
        other.serverInfo = Array(#"{"name":"other"}"#.utf8)
        other.epoch = 7
        #expect(one.offersSame(as: other))
        other.prompts = [item(#"{"name":"count"}"#)]
        #expect(!one.offersSame(as: other))
    }
}
