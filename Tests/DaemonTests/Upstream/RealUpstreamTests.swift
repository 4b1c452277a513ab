import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// Servers as they are installed from PyPI by `tools/setup test`.
@Suite("Upstream with real servers", .serialized)
struct RealUpstreamTests {
    /// Several seconds go into the imports of a Python server, more on a busy machine.
    private static let patient: UpstreamDeadlines = {
        var deadlines = UpstreamDeadlines()
        deadlines.handshake = .seconds(90)
        deadlines.probe = .seconds(60)
        return deadlines
    }()

    private let bin: String

    init() throws {
        bin = try #require(
            UpstreamFixture.realServers, "no servers to test with: run `tools/setup test`")
    }

    @Test func mcpServerTimeAndGitAnswerAsChildren() async throws {
        let bin = bin
        try await UpstreamFixture.run { fixture in
            for (program, tool, arguments) in [
                ("mcp-server-time", "get_current_time", #"{"timezone":"Etc/UTC"}"#),
                (
                    "mcp-server-git", "git_log",
                    #"{"repo_path":"\#(UpstreamFixture.root)","max_count":1}"#
                ),
            ] {
                let upstream = fixture.upstream(
                    "stdio:\(bin)/\(program)", transport: "stdio", deadlines: Self.patient)
                try await upstream.connect(until: fixture.io.now + .seconds(120))
                #expect(upstream.catalogue.tools.contains { $0.name == tool })
                let result = try await upstream.call(tool, arguments, until: fixture.soon)
                #expect(result["isError"] != true)
                #expect(result["content"]?[0]?["text"]?.string?.isEmpty == false)
                #expect(try await upstream.check(until: fixture.soon).toolCount > 1)
                await upstream.close(until: fixture.soon)
            }
        }
    }

    @Test(
        arguments: ["http", "stateless", "sse", "stdio"],
        [UpstreamEras.handshakeFirst, .modernFirst])
    func fastMCPIsSpokenToOverEveryTransport(
        _ transport: String, _ eras: UpstreamEras
    ) async throws {
        let python = bin + "/python"
        try await UpstreamFixture.run { fixture in
            let upstream: Upstream
            if transport == "stdio" {
                upstream = fixture.child(
                    "upstream_fastmcp.py", ["stdio"], python: python, deadlines: Self.patient,
                    eras: eras)
            } else {
                let origin = try await fixture.serve(
                    "upstream_fastmcp.py", [transport], python: python)
                let url = transport == "sse" ? origin + "/sse" : origin
                upstream = fixture.upstream(
                    url, transport: transport == "sse" ? "sse" : "http", eras: eras)
                // It says its port before it listens.
                let isUp = await fixture.eventually {
                    await upstreamError { try await upstream.connect(until: fixture.soon) } == nil
                }
                #expect(isUp)
            }
            if !upstream.isConnected {
                try await upstream.connect(until: fixture.io.now + .seconds(120))
            }
            let catalogue = upstream.catalogue
            let isModern = eras == .modernFirst && transport != "sse"
            #expect((catalogue.protocolVersion == "2026-07-28") == isModern)
            #expect(try JSONValue(parsing: catalogue.serverInfo)["name"] == "upstream_fastmcp")
            #expect(catalogue.tools.map(\.name).sorted() == ["add", "grow", "steps"])
            #expect(catalogue.prompts.map(\.name) == ["greet"])
            #expect(catalogue.resources.map(\.name) == ["data://one"])
            #expect(catalogue.resourceTemplates.map(\.name) == ["data://{number}/square"])
            let sum = try await upstream.call("add", #"{"a":2,"b":3}"#, until: fixture.soon)
            #expect(sum["structuredContent"]?["result"] == 5)
            let seen = Seen()
            _ = try await upstream.call("steps", until: fixture.soon) { seen.values.append($0) }
            #expect(seen.values.count == 3)
            let bad = try await upstream.call("add", #"{"a":"x"}"#, until: fixture.soon)
            #expect(bad["isError"] == true)
            let read = try await upstream.request(
                .readResource, paramsJSON: Array(#"{"uri":"data://7/square"}"#.utf8),
                until: fixture.soon)
            #expect(try JSONValue(parsing: read)["contents"]?[0]?["text"] == "49")
            let check = try await upstream.check(until: fixture.soon)
            #expect(check.toolCount == 3)
            if transport != "stateless" {
                let changed = Promise<Bool>(fixture.io)
                upstream.catalogueChanged = { _ in changed.fulfil(true) }
                _ = try await upstream.call("grow", until: fixture.soon)
                #expect(await changed.value(until: fixture.soon) == true)
                #expect(upstream.catalogue.tools.contains { $0.name == "grown" })
            }
            #expect(upstream.statistics == UpstreamStatistics())
        }
    }
}
