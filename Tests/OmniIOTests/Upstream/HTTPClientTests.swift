import Glibc
import OmniCore
import OmniIO
import Synchronization
import Testing

@Suite("HTTPClient")
struct HTTPClientTests {
    /// A client and a server on one ring, both closed at the end.
    private func run(
        script:
            @escaping @Sendable (ScriptedServer.Request, ScriptedServer.Connection) async
            -> ScriptedServer.Next,
        _ body: @escaping @Sendable (HTTPClient, ScriptedServer, RingIO) async throws -> Void
    ) async throws {
        try await RingFixture.run { io in
            let server = try ScriptedServer(io, script)
            let client = try HTTPClient(io: io)
            defer {
                client.close()
                server.stop()
            }
            try await body(client, server, io)
        }
    }

    private func fetch(
        _ client: HTTPClient, _ request: HTTPClientRequest, _ io: RingIO, bytesMax: Int = 1 << 20
    ) async throws -> (status: Int, body: String) {
        let response = try await client.send(request, until: io.now + .seconds(10))
        let body = try await response.collect(bytesMax: bytesMax, until: io.now + .seconds(10))
        return (response.status, String(decoding: body, as: UTF8.self))
    }

    @Test func aResponseComesWithStatusHeadersAndBody() async throws {
        try await run { _, connection in
            await connection.respond(
                "{\"ok\":true}", status: "201 Created", headers: "X-Note:  two words \r\n")
            return .keep
        } _: { client, server, io in
            let request = HTTPClientRequest(
                "POST", server.url + "/mcp?x=1",
                headers: [.init("Accept", "a/b"), .init("X-Empty", "")],
                body: Array("body".utf8))
            let response = try await client.send(request, until: io.now + .seconds(10))
            #expect(response.status == 201)
            #expect(response.header("x-note") == "two words")
            let body = try await response.collect(bytesMax: 100, until: io.now + .seconds(5))
            #expect(String(decoding: body, as: UTF8.self) == "{\"ok\":true}")
            let seen = server.requests[0]
            #expect(seen.line == "POST /mcp?x=1 HTTP/1.1")
            #expect(seen.body == Array("body".utf8))
            #expect(seen.header("accept") == "a/b")
            #expect(seen.header("x-empty") == "")
            #expect(seen.header("content-type") == nil)
            #expect(seen.header("expect") == nil)
            #expect(seen.header("user-agent") == "omni2-native")
        }
    }

    @Test func aKeptConnectionServesManyRequests() async throws {
        try await run { _, connection in
            await connection.respond("x")
            return .keep
        } _: { client, server, io in
            for _ in 0..<20 {
                let answer1 = try await fetch(client, .init("GET", server.url), io)
                #expect(answer1.body == "x")
            }
            #expect(server.connections == 1)
            #expect(client.statistics.connectionsOpened == 1)
            #expect(client.statistics.requests == 20)
        }
    }

    @Test func manyRequestsAtOneTimeAllComeBack() async throws {
        try await run { request, connection in
            await connection.respond(String(request.line.dropFirst(5).prefix { $0 != " " }))
            return .keep
        } _: { client, server, io in
            let done = Promise<Bool>(io)
            let answers = Answers()
            for number in 0..<50 {
                io.spawn {
                    let answer = try? await fetch(
                        client, .init("GET", "\(server.url)/\(number)"), io)
                    answers.values[number] = answer?.body
                    if answers.values.count == 50 { done.fulfil(true) }
                }
            }
            #expect(await done.value(until: io.now + .seconds(20)) == true)
            for number in 0..<50 { #expect(answers.values[number] == "\(number)") }
        }
    }

    @Test func aChunkedBodyIsReadAsItArrives() async throws {
        try await run { _, connection in
            await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in ["one", "two", "three"] {
                await connection.io.sleep(until: connection.io.now + .milliseconds(20))
                await connection.send("\(String(piece.utf8.count, radix: 16))\r\n\(piece)\r\n")
            }
            await connection.send("0\r\nX-Trailer: late\r\n\r\n")
            return .keep
        } _: { client, server, io in
            let response = try await client.send(
                .init("GET", server.url), until: io.now + .seconds(5))
            var pieces: [String] = []
            while let chunk = try await response.nextChunk(until: io.now + .seconds(5)) {
                pieces.append(String(decoding: chunk, as: UTF8.self))
            }
            #expect(pieces == ["one", "two", "three"])
            #expect(response.header("x-trailer") == nil)
        }
    }

    @Test func aSilentServerIsATimeoutOfTheFirstByte() async throws {
        try await run { _, connection in
            _ = await connection.receive()
            return .close
        } _: { client, server, io in
            await #expect(throws: HTTPClientError.timedOut(.firstByte)) {
                _ = try await client.send(
                    .init("GET", server.url), until: io.now + .milliseconds(100))
            }
            // The connection was closed, so the server's wait for more has ended.
            for _ in 0..<500 where server.closedConnections == 0 {
                await io.sleep(until: io.now + .milliseconds(10))
            }
            #expect(server.closedConnections == 1)
        }
    }

    @Test func aStalledBodyIsATimeoutOfTheBodyAndMayBeWaitedForAgain() async throws {
        try await run { _, connection in
            await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
            await connection.io.sleep(until: connection.io.now + .milliseconds(200))
            await connection.send("b")
            return .keep
        } _: { client, server, io in
            let response = try await client.send(
                .init("GET", server.url), until: io.now + .seconds(5))
            #expect(try await response.nextChunk(until: io.now + .seconds(5)) == [97])
            await #expect(throws: HTTPClientError.timedOut(.body)) {
                _ = try await response.nextChunk(until: io.now + .milliseconds(30))
            }
            #expect(try await response.nextChunk(until: io.now + .seconds(5)) == [98])
            #expect(try await response.nextChunk(until: io.now + .seconds(5)) == nil)
        }
    }

    @Test func nobodyListeningIsConnectFailed() async throws {
        try await RingFixture.run { io in
            let client = try HTTPClient(io: io)
            defer { client.close() }
            do {
                _ = try await client.send(
                    .init("GET", "http://127.0.0.1:1/"), until: io.now + .seconds(5))
                Issue.record("a connection to a closed port")
            } catch {
                guard case .connectFailed(let text)? = error as? HTTPClientError else {
                    Issue.record("\(error)")
                    return
                }
                #expect(text.contains("127.0.0.1"))
            }
        }
    }

    @Test func aFullBacklogIsATimeoutOfConnecting() async throws {
        try await RingFixture.run { io in
            // A backlog of one that nobody empties: the third connection hangs in SYN_SENT.
            let listener = try Sockets.listen(on: SocketAddress("127.0.0.1:0")!, backlog: 0)
            let address = try #require(Sockets.localAddress(of: listener.raw))
            let first = try Sockets.stream(for: address)
            try await io.connect(first.raw, to: address, until: io.now + .seconds(5))
            guard case .ipv4(_, let port) = address else { return }
            let client = try HTTPClient(io: io)
            defer { client.close() }
            var request = HTTPClientRequest("GET", "http://127.0.0.1:\(port)/")
            request.connectTimeout = .milliseconds(150)
            await #expect(throws: HTTPClientError.timedOut(.connect)) {
                _ = try await client.send(request, until: io.now + .seconds(5))
            }
            withExtendedLifetime(first.raw) {}
        }
    }

    @Test func aResetIsAResetAndAPostIsNeverSentTwice() async throws {
        try await run { request, connection in
            if request.line.hasPrefix("GET") {
                await connection.respond("warm")
                return .keep
            }
            connection.reset()
            return .close
        } _: { client, server, io in
            // A kept connection that dies under a request is where libcurl would send again.
            let answer2 = try await fetch(client, .init("GET", server.url), io)
            #expect(answer2.body == "warm")
            do {
                _ = try await fetch(client, .init("POST", server.url, body: [1, 2]), io)
                Issue.record("an answer came from nowhere")
            } catch {
                guard case .reset? = error as? HTTPClientError else {
                    Issue.record("\(error)")
                    return
                }
            }
            #expect(server.requests.filter { $0.line.hasPrefix("POST") }.count == 1)
        }
    }

    @Test func aGetIsSentAgainWhenItsKeptConnectionDies() async throws {
        try await run { request, connection in
            if request.connection == 1 && request.line.contains("/second") { return .close }
            await connection.respond("fine")
            return .keep
        } _: { client, server, io in
            let answer3 = try await fetch(client, .init("GET", server.url + "/first"), io)
            #expect(answer3.body == "fine")
            let answer4 = try await fetch(client, .init("GET", server.url + "/second"), io)
            #expect(answer4.body == "fine")
            #expect(server.requests.count == 3)
        }
    }

    @Test func aBodyThatEndsEarlyIsAReset() async throws {
        try await run { _, connection in
            await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            return .close
        } _: { client, server, io in
            let response = try await client.send(
                .init("GET", server.url), until: io.now + .seconds(5))
            do {
                _ = try await response.collect(bytesMax: 100, until: io.now + .seconds(5))
                Issue.record("a short body was taken for whole")
            } catch {
                guard case .reset? = error as? HTTPClientError else {
                    Issue.record("\(error)")
                    return
                }
            }
        }
    }

    @Test func aHugeBodyEndsAtTheLimitOrPausesTheServer() async throws {
        try await run { request, connection in
            await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
            let block = [UInt8](repeating: 0x61, count: 1 << 20)
            for _ in 0..<100 {
                guard await connection.send(block) else { return .close }
                Progress.shared.withLock { $0 += 1 }
            }
            return .keep
        } _: { client, server, io in
            let response = try await client.send(
                .init("GET", server.url), until: io.now + .seconds(5))
            await #expect(throws: HTTPClientError.tooLarge(bytesMax: 1 << 20)) {
                _ = try await response.collect(bytesMax: 1 << 20, until: io.now + .seconds(10))
            }
            // Nobody reads this one: the server must come to a stop long before its end.
            Progress.shared.withLock { $0 = 0 }
            let slow = try await client.send(.init("GET", server.url), until: io.now + .seconds(5))
            await io.sleep(until: io.now + .milliseconds(300))
            #expect(Progress.shared.withLock { $0 } < 30)
            var count = 0
            while let chunk = try await slow.nextChunk(until: io.now + .seconds(10)) {
                count += chunk.count
            }
            #expect(count == 104_857_600)
        }
    }

    @Test func garbageIsAProtocolErrorAndSoIsAnEndlessHead() async throws {
        try await run { request, connection in
            if request.line.contains("garbage") {
                await connection.send("SSH-2.0-OpenSSH_9.2\r\n")
            } else {
                let line = "X-Filler: " + String(repeating: "x", count: 1000) + "\r\n"
                await connection.send("HTTP/1.1 200 OK\r\n")
                for _ in 0..<100 { await connection.send(line) }
            }
            return .close
        } _: { client, server, io in
            for path in ["/garbage", "/head"] {
                do {
                    _ = try await client.send(
                        .init("GET", server.url + path), until: io.now + .seconds(5))
                    Issue.record("\(path) was taken for HTTP")
                } catch {
                    guard case .protocolError? = error as? HTTPClientError else {
                        Issue.record("\(path): \(error)")
                        continue
                    }
                }
            }
        }
    }

    @Test func redirectsAreFollowedWithinTheOriginOnly() async throws {
        try await run { request, connection in
            switch request.line.split(separator: " ")[1] {
            case "/mcp":
                await connection.respond(
                    "", status: "307 Temporary Redirect", headers: "Location: /mcp/\r\n")
            case "/away":
                await connection.respond(
                    "", status: "302 Found", headers: "Location: http://127.0.0.2:9/x\r\n")
            case "/loop":
                await connection.respond(
                    "", status: "307 Temporary Redirect", headers: "Location: /loop\r\n")
            default: await connection.respond(String(decoding: request.body, as: UTF8.self))
            }
            return .keep
        } _: { client, server, io in
            let body = Array("again".utf8)
            let post = HTTPClientRequest("POST", server.url + "/mcp", body: body)
            let answer5 = try await fetch(client, post, io)
            #expect(answer5 == (200, "again"))
            let answer6 = try await fetch(client, .init("GET", server.url + "/away"), io)
            #expect(answer6.status == 302)
            let before = server.requests.count
            let answer7 = try await fetch(client, .init("GET", server.url + "/loop"), io)
            #expect(answer7.status == 307)
            #expect(server.requests.count - before == 4)
        }
    }

    @Test func aUnixSocketIsAskedByItsPath() async throws {
        try await RingFixture.run { io in
            let path = "/tmp/omni2-upstream-\(getpid())-\(UInt32.random(in: 0..<1 << 30)).sock"
            defer { _ = unsafe unlink(path) }
            let server = try ScriptedServer(io, on: .path(path)) { request, connection in
                await connection.respond(request.line)
                return .keep
            }
            let client = try HTTPClient(io: io)
            defer {
                client.close()
                server.stop()
            }
            let escaped = path.split(separator: "/").map { "%2F" + $0 }.joined()
            let url = "http+unix://\(escaped)/mcp"
            let answer8 = try await fetch(client, .init("GET", url), io)
            #expect(answer8.body == "GET /mcp HTTP/1.1")
        }
    }

    @Test func whatCannotBeSentIsRefused() async throws {
        try await RingFixture.run { io in
            let client = try HTTPClient(io: io)
            defer { client.close() }
            let bad: [HTTPClientRequest] = [
                .init("GET", "file:///etc/passwd"),
                .init("GET", "http://127.0.0.1:1/ HTTP/1.1\r\nX: y"),
                .init("GET", "http://127.0.0.1:1/", headers: [.init("X", "a\r\nY: b")]),
                .init("GET", "http://127.0.0.1:1/", headers: [.init("X y", "a")]),
                .init("GE T", "http://127.0.0.1:1/"),
                .init("GET", "http://:99999/"),
            ]
            for request in bad {
                do {
                    _ = try await client.send(request, until: io.now + .seconds(5))
                    Issue.record("\(request) was sent")
                } catch {
                    guard case .invalidRequest? = error as? HTTPClientError else {
                        Issue.record("\(request.url): \(error)")
                        continue
                    }
                }
            }
        }
    }

    @Test func cancelAndLettingGoCloseTheConnection() async throws {
        try await run { _, connection in
            await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
            _ = await connection.receive()
            return .close
        } _: { client, server, io in
            let response = try await client.send(
                .init("GET", server.url), until: io.now + .seconds(5))
            io.spawn { response.cancel() }
            _ = try? await response.nextChunk(until: io.now + .seconds(5))
            await #expect(throws: HTTPClientError.cancelled) {
                _ = try await response.nextChunk(until: io.now + .seconds(5))
                _ = try await response.nextChunk(until: io.now + .seconds(5))
            }
            _ = try await client.send(.init("GET", server.url), until: io.now + .seconds(5))
            for _ in 0..<100 where server.closedConnections < 2 {
                await io.sleep(until: io.now + .milliseconds(10))
            }
            #expect(server.closedConnections == 2)
        }
    }

    @Test func aDiscardedRestKeepsTheConnection() async throws {
        try await run { _, connection in
            await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            await connection.io.sleep(until: connection.io.now + .milliseconds(50))
            await connection.send("cd")
            return .keep
        } _: { client, server, io in
            for _ in 0..<3 {
                let response = try await client.send(
                    .init("GET", server.url), until: io.now + .seconds(5))
                response.discard(until: io.now + .seconds(20))
                while client.transfersCount > 0 {
                    await io.sleep(until: io.now + .milliseconds(5))
                }
            }
            #expect(server.connections == 1)
        }
    }
}

private final class Answers {
    var values: [Int: String] = [:]
}

private enum Progress {
    static let shared = Mutex(0)
}
