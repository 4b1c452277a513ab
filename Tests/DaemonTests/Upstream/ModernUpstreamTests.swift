import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("Upstream of the stateless era")
struct ModernUpstreamTests {
    @Test(arguments: [UpstreamEras.handshakeFirst, .modernFirst])
    func aServerThatKnowsNothingElseIsSpokenTo(_ eras: UpstreamEras) async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py", ["--modern"])
            let upstream = try await fixture.connected(fixture.upstream(origin, eras: eras))
            let catalogue = upstream.catalogue
            #expect(catalogue.protocolVersion == "2026-07-28")
            #expect(catalogue.instructions == "modern")
            #expect(try JSONValue(parsing: catalogue.serverInfo)["name"] == "modern")
            // All but the one whose mark is invalid.
            #expect(catalogue.tools.count == 17)
            #expect(catalogue.tools.last?.name == "marked")
            let seen = Seen()
            let result = try await upstream.call(
                "sse", "{\"x\":1}", meta: "{\"traceparent\":\"00-a\"}", until: fixture.soon
            ) { seen.values.append($0) }
            #expect(seen.values.count == 2)
            let meta = result.echoed?["_meta"]
            #expect(meta?["traceparent"] == "00-a")
            #expect(meta?["io.modelcontextprotocol/clientInfo"]?["name"] == "omni2-native")
            #expect(try await upstream.check(until: fixture.soon).toolCount == 17)
            #expect(try await fixture.records(origin, "ping").isEmpty)
            #expect(
                try await fixture.records(origin, "initialize").count
                    == (eras == .handshakeFirst ? 1 : 0))
            // The verdict is remembered.
            try await upstream.connect(until: fixture.soon)
            #expect(
                try await fixture.records(origin, "initialize").count
                    == (eras == .handshakeFirst ? 1 : 0))
        }
    }

    @Test func markedArgumentsTravelAsHeaders() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py", ["--modern"])
            let upstream = try await fixture.connected(
                fixture.upstream(origin, eras: .modernFirst))
            for region in [#""eu""#, #""ü""#, "null"] {
                _ = try await upstream.call(
                    "marked", "{\"region\":\(region)}", until: fixture.soon)
            }
        }
    }

    @Test func theSubscriptionBringsChangedLists() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py", ["--modern"])
            let upstream = try await fixture.connected(
                fixture.upstream(origin, eras: .modernFirst))
            let changed = Promise<Bool>(fixture.io)
            upstream.catalogueChanged = { _ in changed.fulfil(true) }
            _ = try await fixture.eventually { try await fixture.control(origin)["streams"] == 1 }
            _ = try await upstream.call("grow", until: fixture.soon)
            #expect(await changed.value(until: fixture.soon) == true)
            #expect(upstream.catalogue.tools.count == 18)
        }
    }

    @Test func closingTheStreamIsTheCancellation() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py", ["--modern"])
            let upstream = try await fixture.connected(
                fixture.upstream(origin, eras: .modernFirst))
            let error = await upstreamError {
                _ = try await upstream.call("hang", until: fixture.io.now + .milliseconds(100))
            }
            #expect(error == .timedOut("tools/call"))
            _ = try await upstream.call("echo", until: fixture.soon)
            #expect(try await fixture.records(origin, "notifications/cancelled").isEmpty)
        }
    }

    @Test func serversOfTheHandshakeEraAreFoundOutByTheProbe() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(
                fixture.upstream(origin, eras: .modernFirst))
            #expect(upstream.catalogue.protocolVersion == "2025-11-25")
            // A client's envelope stays behind.
            let result = try await upstream.call(
                "echo", meta: #"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","a":1}"#,
                until: fixture.soon)
            #expect(result.echoed?["_meta"] == ["a": 1])
            let child = try await fixture.connected(fixture.child(eras: .modernFirst))
            #expect(child.catalogue.protocolVersion == "2025-11-25")
            var deadlines = UpstreamDeadlines()
            deadlines.probe = .milliseconds(100)
            deadlines.handshake = .milliseconds(400)
            let silent = fixture.child(
                "upstream_stdio.py", ["--silent"], deadlines: deadlines, eras: .modernFirst)
            let error = await upstreamError { try await silent.connect(until: fixture.soon) }
            #expect(error == .timedOut("initialize"))
        }
    }

    @Test func marksAreReadOnlyWhereTheyMayStand() {
        func headers(_ properties: String) -> [ModernParameterHeader]? {
            let tool = "{\"name\":\"t\",\"inputSchema\":{\"properties\":\(properties)}}"
            return ModernParameterHeader.headers(of: Array(tool.utf8))
        }
        #expect(headers("{}") == [])
        #expect(
            headers(#"{"a":{"properties":{"b":{"type":"integer","x-mcp-header":"B"}}}}"#)
                == [ModernParameterHeader(path: ["a", "b"], name: "B")])
        #expect(headers(#"{"a":{"type":"string","x-mcp-header":"no good"}}"#) == nil)
        #expect(headers(#"{"a":{"type":"array","x-mcp-header":"A"}}"#) == nil)
        #expect(
            headers(
                #"{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}"#
            ) == nil)
    }
}
