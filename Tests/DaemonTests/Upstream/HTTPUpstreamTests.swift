import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("Upstream over HTTP")
struct HTTPUpstreamTests {
    @Test func connectShakesHandsAndReadsAllLists() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            #expect(upstream.isConnected)
            let catalogue = upstream.catalogue
            #expect(catalogue.tools.count == 16)
            #expect(catalogue.tools[0].name == "echo")
            #expect(catalogue.tools[0].annotations.saidReadOnly == true)
            #expect(catalogue.tools[1].annotations.saidReadOnly == nil)
            #expect(catalogue.prompts.map(\.name) == ["prompt0", "prompt1", "prompt2"])
            #expect(catalogue.resources.map(\.name) == ["test://0", "test://1", "test://2"])
            #expect(catalogue.resourceTemplates.map(\.name) == ["test://{n}"])
            #expect(catalogue.protocolVersion == "2025-11-25")
            #expect(catalogue.instructions == "be gentle")
            #expect(catalogue.epoch > 0)
            let info = try JSONValue(parsing: catalogue.serverInfo)
            #expect(info["name"] == "upstream_http")
            // Headers: none before the handshake, both after it.
            let initialize = try await fixture.records(origin, "initialize")[0]["headers"]
            #expect(initialize?["mcp-session-id"] == nil)
            #expect(initialize?["mcp-protocol-version"] == nil)
            #expect(initialize?["accept"] == "application/json, text/event-stream")
            for method in ["notifications/initialized", "tools/list", "prompts/list"] {
                let headers = try await fixture.records(origin, method)[0]["headers"]
                #expect(headers?["mcp-session-id"]?.string?.count == 32)
                #expect(headers?["mcp-protocol-version"] == "2025-11-25")
            }
        }
    }

    @Test func resultsComeBackAsTheBytesTheyWere() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let result = try await upstream.call(
                "echo", "{\"n\":1.50,\"t\":\"ü\"}",
                meta: "{\"traceparent\":\"00-a\",\"progressToken\":7}",
                until: fixture.soon)
            #expect(result.echoed?["arguments"]?["t"] == "ü")
            #expect(result.echoed?["_meta"] == ["traceparent": "00-a"])
            // One request of ours is one request of theirs.
            #expect(try await fixture.records(origin, "tools/call").count == 1)
        }
    }

    @Test func streamedAnswersBringProgressUnderOurToken() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            for tool in ["sse", "split", "progress_late"] {
                let seen = Seen()
                let result = try await upstream.call(
                    tool, "{\"x\":1}", meta: "{\"progressToken\":\"client\"}", until: fixture.soon
                ) { seen.values.append($0) }
                #expect(result.echoed?["arguments"] == ["x": 1])
                let token = result.echoed?["_meta"]?["progressToken"]?.int
                #expect(token != nil)
                let progress = try seen.values.map { try JSONValue(parsing: $0) }
                #expect(progress.map { $0["progress"] } == (tool == "sse" ? [1, 2] : []))
                #expect(progress.allSatisfy { $0["progressToken"]?.int == token })
            }
            // A stream that has been read to its end leaves its connection for the next call.
            let calls = try await fixture.records(origin, "tools/call")
            #expect(Set(calls.compactMap { $0["connection"]?.int }).count == 1)
        }
    }

    @Test func concurrentCallsShareTheSession() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let done = Promise<Bool>(fixture.io)
            let seen = Seen()
            for number in 0..<40 {
                fixture.io.spawn {
                    let tool = number % 2 == 0 ? "echo" : "sse"
                    let result = try? await upstream.call(
                        tool, "{\"n\":\(number)}", until: fixture.soon)
                    #expect(result?.echoed?["arguments"]?["n"]?.int == Int64(number))
                    seen.values.append([])
                    if seen.values.count == 40 { done.fulfil(true) }
                }
            }
            #expect(await done.value(until: fixture.soon) == true)
            #expect(try await fixture.control(origin)["initializations"] == 1)
        }
    }

    @Test func listsAreReadPageByPageAndNeverForEver() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py", ["--page", "3"])
            let upstream = try await fixture.connected(fixture.upstream(origin))
            #expect(upstream.catalogue.tools.count == 16)
            #expect(try await fixture.records(origin, "tools/list").count == 6)
            let endless = try await fixture.serve("upstream_http.py", ["--page", "3", "--cycle"])
            let journal = Journal.recording()
            let lost = try await fixture.connected(
                fixture.upstream(endless, log: Log(journal, service: .gateway)))
            #expect(lost.catalogue.tools.count == 6)
            #expect(journal.records.contains { $0.message.contains("tools/list has no end") })
        }
    }

    @Test func aChangedListIsReadAgainAndAnnounced() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let changed = Promise<Bool>(fixture.io)
            upstream.catalogueChanged = { _ in changed.fulfil(true) }
            let streaming = try await fixture.eventually {
                try await fixture.control(origin)["streams"] == 1
            }
            #expect(streaming)
            let epoch = upstream.catalogue.epoch
            _ = try await upstream.call("grow", until: fixture.soon)
            #expect(await changed.value(until: fixture.soon) == true)
            #expect(upstream.catalogue.tools.count == 17)
            #expect(upstream.catalogue.epoch > epoch)
        }
    }

    @Test func aHealthCheckNoticesToolsThatChangedInSilence() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py", ["--no-stream"])
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let counter = Seen()
            upstream.catalogueChanged = { _ in counter.values.append([]) }
            let first = try await upstream.check(until: fixture.soon)
            #expect(first.toolCount == 16)
            #expect(first.responseTime > .zero)
            #expect(counter.values.isEmpty)
            _ = try await upstream.call("grow", until: fixture.soon)
            #expect(try await upstream.check(until: fixture.soon).toolCount == 17)
            #expect(counter.values.count == 1)
            #expect(try await fixture.records(origin, "ping").count == 2)
        }
    }

    @Test(arguments: [[], ["--expired-400"]])
    func aForgottenSessionIsRenewedInsideTheCall(_ options: [String]) async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py", options)
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let epoch = upstream.catalogue.epoch
            _ = try await upstream.call("expire", until: fixture.soon)
            let done = Promise<Bool>(fixture.io)
            let seen = Seen()
            for number in 0..<10 {
                fixture.io.spawn {
                    let result = try? await upstream.call(
                        "slow", "{\"seconds\":0,\"n\":\(number)}", until: fixture.soon)
                    #expect(result?.echoed?["arguments"]?["n"]?.int == Int64(number))
                    seen.values.append([])
                    if seen.values.count == 10 { done.fulfil(true) }
                }
            }
            #expect(await done.value(until: fixture.soon) == true)
            #expect(upstream.isConnected)
            #expect(upstream.catalogue.tools.count == 16)
            #expect(upstream.catalogue.epoch > epoch)
            #expect(try await fixture.control(origin)["initializations"] == 2)
        }
    }

    @Test func aServerThatIsGoneLosesTheSessionOnce() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            var deadlines = UpstreamDeadlines()
            deadlines.streamRetry = .milliseconds(20)
            let upstream = try await fixture.connected(
                fixture.upstream(origin, deadlines: deadlines))
            let seen = Seen()
            let lost = Promise<UpstreamError>(fixture.io)
            upstream.disconnected = { _, error in
                seen.values.append([])
                lost.fulfil(error)
            }
            _ = try await fixture.eventually { try await fixture.control(origin)["streams"] == 1 }
            await fixture.stopServers()
            let error = await upstreamError {
                _ = try await upstream.call("echo", until: fixture.soon)
            }
            // The listening stream may have noticed first.
            #expect(error == .notConnected || error?.countsAsFailure == true)
            let reason = await lost.value(until: fixture.soon)
            #expect(reason?.countsAsFailure == true)
            #expect(!upstream.isConnected)
            #expect(seen.values.count == 1)
            let after = await upstreamError {
                _ = try await upstream.call("echo", until: fixture.soon)
            }
            #expect(after == .notConnected)
        }
    }

    @Test func aStreamThatBreaksOffIsResumed() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let result = try await upstream.call("resume", "{\"x\":2}", until: fixture.soon)
            #expect(result.echoed?["arguments"] == ["x": 2])
            let gets = try await fixture.records(origin, "GET")
            #expect(gets.contains { $0["headers"]?["last-event-id"] != nil })
            #expect(try await fixture.records(origin, "tools/call").count == 1)
            let error = await upstreamError {
                _ = try await upstream.call("cut", until: fixture.soon)
            }
            #expect(error == .transport("the event stream ended before the answer"))
        }
    }

    @Test func failuresAreTypedAndOnlyTransportCounts() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            var deadlines = UpstreamDeadlines()
            deadlines.messageBytesMax = 1 << 20
            let upstream = try await fixture.connected(
                fixture.upstream(origin, deadlines: deadlines))
            func failure(_ tool: String, _ arguments: String = "{}") async -> UpstreamError? {
                await upstreamError {
                    _ = try await upstream.call(tool, arguments, until: fixture.soon)
                }
            }
            let refused = await failure("refuse")
            #expect(refused == .rpc(code: -32042, message: "no ü", data: Array("[1, 2]".utf8)))
            #expect(refused?.countsAsFailure == false)
            let html = await failure("html")
            #expect(html == .transport("HTTP 502: <html> bad gateway</html>"))
            #expect(html?.countsAsFailure == true)
            let big = await failure("big", "{\"bytes\":2000000}")
            #expect(big == .tooLarge(limit: 1 << 20))
            let wrong = await failure("wrong_id")
            #expect(wrong == .protocolViolation("the answer is not that of the request"))
            #expect(upstream.lateAnswers == 1)
            guard case .transport = await failure("reset") else {
                Issue.record("a reset connection")
                return
            }
            #expect(
                try await fixture.records(origin, "tools/call").filter {
                    $0["message"]?["params"]?["name"] == "reset"
                }.count == 1)
            let unknown = await upstreamError {
                _ = try await upstream.request(.listTasks, paramsJSON: nil, until: fixture.soon)
            }
            guard case .rpc(-32601, "Method not found", _)? = unknown else {
                Issue.record("\(String(describing: unknown))")
                return
            }
            #expect(upstream.isConnected)
        }
    }

    @Test func aHangingCallEndsByItsDeadlineAndTheServerIsTold() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let error = await upstreamError {
                _ = try await upstream.call("hang", until: fixture.io.now + .milliseconds(150))
            }
            #expect(error == .timedOut("tools/call"))
            let told = try await fixture.eventually {
                try await fixture.records(origin, "notifications/cancelled").count == 1
            }
            #expect(told)
            let call = try await fixture.records(origin, "tools/call")[0]["message"]
            let notice = try await fixture.records(origin, "notifications/cancelled")[0]["message"]
            #expect(notice?["params"]?["requestId"] == call?["id"])
        }
    }

    @Test func aCallerMayCancel() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let cancellation = UpstreamCancellation()
            fixture.io.spawn {
                await fixture.io.sleep(until: fixture.io.now + .milliseconds(100))
                cancellation.cancel("the user went home")
            }
            let start = fixture.io.now
            let error = await upstreamError {
                _ = try await upstream.call(
                    "hang", until: fixture.soon, cancellation: cancellation)
            }
            #expect(error == .stopped)
            #expect(fixture.io.now - start < .seconds(5))
            let told = try await fixture.eventually {
                try await fixture.records(origin, "notifications/cancelled").first?["message"]?[
                    "params"]?["reason"] == "the user went home"
            }
            #expect(told)
        }
    }

    @Test func requestsOfTheServerAreAnswered() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py")
            let upstream = try await fixture.connected(fixture.upstream(origin))
            let result = try await upstream.call("asks", until: fixture.soon)
            let answers = result["answers"]?.array ?? []
            #expect(answers.contains(["jsonrpc": "2.0", "id": "p1", "result": [:]]))
            #expect(answers.contains { $0["id"] == 2 && $0["error"]?["code"] == -32601 })
        }
    }

    @Test func credentialsTravelWithEveryRequest() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve(
                "upstream_http.py", ["--authorization", "Bearer sesame"])
            let refused = await upstreamError {
                try await fixture.upstream(origin).connect(until: fixture.soon)
            }
            #expect(refused == .transport("HTTP 401: {\"error\":\"unauthorized\"}"))
            let upstream = fixture.upstream(origin, authentication: .bearer(token: "sesame"))
            try await upstream.connect(until: fixture.soon)
            _ = try await upstream.call("echo", until: fixture.soon)
            await upstream.close(until: fixture.soon)
            let gone = try await fixture.records(origin, "DELETE")
            #expect(gone.count == 1)
            #expect(gone[0]["headers"]?["authorization"] == "Bearer sesame")
            #expect(gone[0]["headers"]?["mcp-session-id"] != nil)
            let open = try await fixture.serve("upstream_http.py")
            let keyed = fixture.upstream(
                open, authentication: .apiKey(header: "X-API-Key", key: "k1"))
            try await keyed.connect(until: fixture.soon)
            #expect(
                try await fixture.records(open, "tools/list")[0]["headers"]?["x-api-key"] == "k1")
            let custom = fixture.upstream(
                open, authentication: .headers([.init(name: "X-A", value: "1")]))
            try await custom.connect(until: fixture.soon)
            #expect(try await fixture.records(open, "initialize").last?["headers"]?["x-a"] == "1")
        }
    }

    @Test func olderRevisionsAndServersWithoutSessionsAreSpokenTo() async throws {
        try await UpstreamFixture.run { fixture in
            let old = try await fixture.serve(
                "upstream_http.py", ["--version", "2025-03-26", "--sessionless", "--no-stream"])
            let upstream = try await fixture.connected(fixture.upstream(old))
            #expect(upstream.catalogue.protocolVersion == "2025-03-26")
            _ = try await upstream.call("sse", until: fixture.soon)
            let unknown = try await fixture.serve("upstream_http.py", ["--version", "1999-01-01"])
            let error = await upstreamError {
                try await fixture.upstream(unknown).connect(until: fixture.soon)
            }
            #expect(error == .protocolViolation("no protocol version in common"))
        }
    }

    @Test func theOlderEventStreamIsSpokenAndFallenBackTo() async throws {
        try await UpstreamFixture.run { fixture in
            let origin = try await fixture.serve("upstream_http.py", ["--event-stream"])
            for transport in ["sse", "http"] {
                let upstream = fixture.upstream(origin + "/sse", transport: transport)
                try await upstream.connect(until: fixture.soon)
                #expect(upstream.catalogue.protocolVersion == "2024-11-05")
                #expect(upstream.catalogue.tools.count == 16)
                let result = try await upstream.call("echo", "{\"x\":3}", until: fixture.soon)
                #expect(result.echoed?["arguments"] == ["x": 3])
                let lost = Promise<UpstreamError>(fixture.io)
                upstream.disconnected = { lost.fulfil($1) }
                let error = await upstreamError {
                    _ = try await upstream.call("cut", until: fixture.soon)
                }
                #expect(error == .transport("the event stream ended"))
                #expect(await lost.value(until: fixture.soon) == error)
            }
        }
    }

    @Test func nobodyThereIsATransportFailure() async throws {
        try await UpstreamFixture.run { fixture in
            let error = await upstreamError {
                try await fixture.upstream("http://127.0.0.1:1").connect(until: fixture.soon)
            }
            guard case .transport(let text)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(text.contains("cannot connect"))
        }
    }
}

final class Seen {
    var values: [[UInt8]] = []
}
