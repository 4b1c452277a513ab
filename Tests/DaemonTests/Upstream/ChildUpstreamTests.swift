import Glibc
import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("Upstream over stdio")
struct ChildUpstreamTests {
    @Test func aChildIsStartedAskedAndStopped() async throws {
        try await UpstreamFixture.run { fixture in
            let upstream = try await fixture.connected(fixture.child())
            #expect(upstream.catalogue.tools.count == 8)
            #expect(upstream.catalogue.prompts.isEmpty)
            let result = try await upstream.call("echo", "{\n\"x\":\r\n1}", until: fixture.soon)
            #expect(result.echoed?["arguments"] == ["x": 1])
            #expect(try await upstream.check(until: fixture.soon).toolCount == 8)
            await upstream.close(until: fixture.soon)
            #expect(!upstream.isConnected)
            let error = await upstreamError {
                _ = try await upstream.call("echo", until: fixture.soon)
            }
            #expect(error == .notConnected)
            // And again: the object outlives its sessions.
            let epoch = upstream.catalogue.epoch
            try await upstream.connect(until: fixture.soon)
            #expect(upstream.catalogue.epoch > epoch)
            _ = try await upstream.call("echo", until: fixture.soon)
        }
    }

    @Test func aChildInheritsOnlyWhatItNeeds() async throws {
        try await UpstreamFixture.run { fixture in
            let upstream = try await fixture.connected(fixture.child())
            let env = try await upstream.call("env", until: fixture.soon)["env"]
            #expect(env?["GIVEN"] == "yes")
            #expect(env?["PATH"] == "/usr/bin:/bin")
            #expect(env?["SECRET_OF_OURS"] == nil)
        }
    }

    @Test func callsInFlightDoNotWaitForEachOther() async throws {
        try await UpstreamFixture.run { fixture in
            let upstream = try await fixture.connected(fixture.child())
            let done = Promise<UpstreamError?>(fixture.io)
            fixture.io.spawn {
                done.fulfil(
                    await upstreamError {
                        _ = try await upstream.call(
                            "hang", until: fixture.io.now + .milliseconds(300))
                    })
            }
            _ = try await upstream.call("echo", until: fixture.soon)
            #expect(!done.isFulfilled)
            #expect(await done.value(until: fixture.soon) == .timedOut("tools/call"))
            let told = try await fixture.eventually {
                try await upstream.call("cancelled", until: fixture.soon)["ids"]?.array?.count == 1
            }
            #expect(told)
        }
    }

    @Test(arguments: ["die", "exit"])
    func aDeadChildFailsAllItsCallsAtOnce(_ how: String) async throws {
        try await UpstreamFixture.run { fixture in
            let upstream = try await fixture.connected(fixture.child())
            let lost = Promise<UpstreamError>(fixture.io)
            upstream.disconnected = { lost.fulfil($1) }
            let pending = Promise<UpstreamError?>(fixture.io)
            fixture.io.spawn {
                pending.fulfil(
                    await upstreamError {
                        _ = try await upstream.call("hang", until: fixture.soon)
                    })
            }
            let error = await upstreamError {
                _ = try await upstream.call(how, until: fixture.soon)
            }
            let expected =
                how == "die"
                ? "the server process was ended by signal 9"
                : "the server process exited with code 3; its last words: farewell"
            #expect(error == .transport(expected))
            #expect(await pending.value(until: fixture.soon) == error)
            #expect(await lost.value(until: fixture.soon) == error)
            #expect(!upstream.isConnected)
            try await upstream.connect(until: fixture.soon)
            _ = try await upstream.call("echo", until: fixture.soon)
        }
    }

    @Test func aChildThatCannotStartSaysWhy() async throws {
        try await UpstreamFixture.run { fixture in
            let gone = fixture.child("upstream_stdio.py", ["--exit", "2"])
            let error = await upstreamError { try await gone.connect(until: fixture.soon) }
            #expect(
                error
                    == .transport(
                        "the server process exited with code 2; "
                            + "its last words: cannot find my database"))
            let missing = fixture.upstream("stdio:no-such-program --flag", transport: "stdio")
            let other = await upstreamError { try await missing.connect(until: fixture.soon) }
            #expect(other == .transport("cannot start no-such-program: No such file or directory"))
            let nothing = fixture.upstream("", transport: "stdio")
            let third = await upstreamError { try await nothing.connect(until: fixture.soon) }
            #expect(third?.countsAsFailure == true)
        }
    }

    @Test func aSilentChildIsATimeoutOfTheHandshake() async throws {
        try await UpstreamFixture.run { fixture in
            var deadlines = UpstreamDeadlines()
            deadlines.handshake = .milliseconds(300)
            deadlines.stop = .milliseconds(100)
            let upstream = fixture.child(
                "upstream_stdio.py", ["--silent", "--deaf"], deadlines: deadlines)
            let start = fixture.io.now
            let error = await upstreamError { try await upstream.connect(until: fixture.soon) }
            #expect(error == .timedOut("initialize"))
            #expect(fixture.io.now - start < .seconds(5))
        }
    }

    @Test func garbageIsCountedAndDoesNotDisturb() async throws {
        try await UpstreamFixture.run { fixture in
            let journal = Journal.recording()
            let upstream = try await fixture.connected(
                fixture.child(
                    "upstream_stdio.py", ["--garbage"], log: Log(journal, service: .gateway)))
            _ = try await upstream.call("echo", until: fixture.soon)
            #expect(upstream.statistics.garbageLines >= 3)
            #expect(journal.records.contains { $0.fields["line"] == "Loading model... 50 %" })
            #expect(upstream.isConnected)
        }
    }

    @Test func aHugeAnswerFailsItsOwnCallOnly() async throws {
        try await UpstreamFixture.run { fixture in
            var deadlines = UpstreamDeadlines()
            deadlines.messageBytesMax = 1 << 20
            let upstream = try await fixture.connected(fixture.child(deadlines: deadlines))
            let pending = Promise<UpstreamError?>(fixture.io)
            fixture.io.spawn {
                pending.fulfil(
                    await upstreamError {
                        _ = try await upstream.call(
                            "hang", until: fixture.io.now + .milliseconds(700))
                    })
            }
            let error = await upstreamError {
                _ = try await upstream.call("huge", "{\"bytes\":3000000}", until: fixture.soon)
            }
            #expect(error == .tooLarge(limit: 1 << 20))
            let fits = try await upstream.call("huge", "{\"bytes\":900000}", until: fixture.soon)
            #expect(fits["text"]?.string?.utf8.count == 900_000)
            #expect(await pending.value(until: fixture.soon) == .timedOut("tools/call"))
        }
    }

    @Test func aChangedListOfAChildIsReadAgain() async throws {
        try await UpstreamFixture.run { fixture in
            let upstream = try await fixture.connected(fixture.child())
            let changed = Promise<Bool>(fixture.io)
            upstream.catalogueChanged = { _ in changed.fulfil(true) }
            _ = try await upstream.call("grow", until: fixture.soon)
            #expect(await changed.value(until: fixture.soon) == true)
            #expect(upstream.catalogue.tools.count == 9)
        }
    }

    @Test func callsBeyondTheLimitAreRefusedAndClosingEndsTheRest() async throws {
        try await UpstreamFixture.run { fixture in
            var deadlines = UpstreamDeadlines()
            deadlines.pendingMax = 3
            let upstream = try await fixture.connected(fixture.child(deadlines: deadlines))
            let seen = Seen()
            let done = Promise<Bool>(fixture.io)
            for _ in 0..<3 {
                fixture.io.spawn {
                    let error = await upstreamError {
                        _ = try await upstream.call("hang", until: fixture.soon)
                    }
                    #expect(error == .stopped)
                    seen.values.append([])
                    if seen.values.count == 3 { done.fulfil(true) }
                }
            }
            await fixture.io.sleep(until: fixture.io.now + .milliseconds(20))
            let error = await upstreamError {
                _ = try await upstream.call("echo", until: fixture.soon)
            }
            #expect(error == .overloaded)
            await upstream.close(until: fixture.soon)
            #expect(await done.value(until: fixture.soon) == true)
        }
    }

    @Test func closingWhileConnectingEndsTheConnect() async throws {
        try await UpstreamFixture.run { fixture in
            let upstream = fixture.child("upstream_stdio.py", ["--silent"])
            let outcome = Promise<UpstreamError?>(fixture.io)
            fixture.io.spawn {
                outcome.fulfil(
                    await upstreamError { try await upstream.connect(until: fixture.soon) })
            }
            await fixture.io.sleep(until: fixture.io.now + .milliseconds(100))
            await upstream.close(until: fixture.soon)
            #expect(await outcome.value(until: fixture.soon) == .stopped)
            #expect(!upstream.isConnected)
        }
    }
}

@Suite("UpstreamAddress")
struct UpstreamAddressTests {
    @Test(arguments: [
        ("http://h:1", "http://h:1/mcp"), ("http://h:1/", "http://h:1/mcp"),
        ("http://h/mcp", "http://h/mcp"), ("http://h/mcp/", "http://h/mcp/"),
        ("https://h/api/v1/tools", "https://h/api/v1/tools"),
        ("http://h?key=1", "http://h/mcp?key=1"), ("HTTP://h", "HTTP://h/mcp"),
        ("http+unix://%2Frun%2Fx.sock", "http+unix://%2Frun%2Fx.sock/mcp"),
    ])
    func aURLWithoutAPathGetsTheUsualOne(_ url: String, _ expected: String) throws {
        var configuration = ServerConfiguration(name: "a", url: url)
        #expect(try UpstreamAddress(configuration, environment: [:]) == .http(url: expected))
        configuration.transport = "http_streamable"
        #expect(try UpstreamAddress(configuration, environment: [:]) == .http(url: expected))
    }

    @Test func theEventStreamIsChosenByProtocolOrPath() throws {
        var configuration = ServerConfiguration(name: "a", url: "http://h/x/sse")
        #expect(
            try UpstreamAddress(configuration, environment: [:])
                == .eventStream(url: "http://h/x/sse"))
        configuration.url = "http://h"
        configuration.transport = "sse"
        #expect(
            try UpstreamAddress(configuration, environment: [:])
                == .eventStream(url: "http://h/sse"))
    }

    @Test func aCommandComesFromTheMetaDataOrTheURL() throws {
        var configuration = ServerConfiguration(name: "a", url: "stdio:tool --a b")
        guard
            case .child(let command) = try UpstreamAddress(
                configuration, environment: ["HOME": "/h", "TOKEN": "t"])
        else { return }
        #expect(command.program == "tool")
        #expect(command.arguments == ["--a", "b"])
        #expect(command.environment == ["HOME": "/h"])
        configuration.metaData =
            #"{"stdio":{"command":"x","args":["1"],"env":{"A":"b"},"cwd":"/tmp"}}"#
        guard case .child(let other) = try UpstreamAddress(configuration, environment: [:]) else {
            return
        }
        #expect(other.program == "x")
        #expect(other.arguments == ["1"])
        #expect(other.environment == ["A": "b"])
        #expect(other.directory == "/tmp")
    }

    @Test func anEndpointOfAnotherOriginIsNotFollowed() throws {
        let base = try #require(SplitURL("http://h:1/a/sse?k=v"))
        #expect(base.resolve("/messages?s=1") == "http://h:1/messages?s=1")
        #expect(base.resolve("messages") == "http://h:1/a/messages")
        #expect(base.resolve("?s=1") == "http://h:1/a/sse?s=1")
        #expect(base.resolve("http://h:1/m") == "http://h:1/m")
        #expect(base.resolve("http://evil:1/m") == nil)
        #expect(base.resolve("//evil/m") == nil)
    }

    @Test func theIDOfALongAnswerIsFoundInItsBeginningOnly() {
        func id(_ text: String) -> Int64? { UpstreamParams.answeredID(Array(text.utf8)) }
        #expect(id(#"{"jsonrpc":"2.0","id":42,"result":{"id":7"#) == 42)
        #expect(id(#"{"id": 9,"jsonrpc":"2.0","result":"#) == 9)
        #expect(id(#"{"jsonrpc":"2.0","result":{"id":7,"#) == nil)
    }
}
