import OmniCore
import Testing

/// Lets a conversation read line by line.
private struct Conversation {
    var session = MCPSession()

    mutating func hears(_ json: String) -> MCPSession.Action {
        Array(json.utf8).withRawSpan { span in
            guard let message = try? RPCMessage.read(span) else { return .ignore }
            return session.received(message, in: span)
        }
    }

    mutating func request(_ method: String, _ params: String = "{}") -> MCPSession.Action {
        hears(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)","params":\#(params)}"#)
    }

    mutating func notification(_ method: String) -> MCPSession.Action {
        hears(#"{"jsonrpc":"2.0","method":"\#(method)"}"#)
    }
}

private func isRefused(
    _ action: MCPSession.Action, _ code: RPCCode, _ reason: RPCFailure.Reason
) -> Bool {
    guard case .refuse(let failure) = action else { return false }
    return failure.code == code && failure.reason == reason && failure.id != nil
}

@Suite("MCPSession")
struct MCPSessionTests {
    private let initialize = #"""
        {"protocolVersion":"2025-06-18","capabilities":{"roots":{"listChanged":true},"sampling":{},
        "elicitation":{"url":{}}},"clientInfo":{"name":"cursor","version":"1.2"}}
        """#

    @Test func aSessionIsNegotiatedAndUsed() {
        var client = Conversation()
        #expect(client.request("ping") == .answerEmpty)
        #expect(isRefused(client.request("tools/list"), .invalidRequest, .notInitialized))
        #expect(client.request("initialize", initialize) == .answerInitialize)
        #expect(client.session.version == .v2025_06_18)
        #expect(client.session.client == MCPPeer(name: "cursor", version: "1.2"))
        #expect(
            client.session.capabilities
                == [.roots, .rootsListChanged, .sampling, .elicitation, .elicitationURL])
        #expect(!client.session.mayNotify)
        #expect(client.request("tools/list") == .route(.listTools))
        #expect(client.notification("notifications/initialized") == .notified(.initialized))
        #expect(client.session.mayNotify)
        #expect(client.request("tools/call") == .route(.callTool))
        #expect(client.request("ping") == .answerEmpty)
        #expect(client.notification("notifications/cancelled") == .notified(.cancelled))
        #expect(client.hears(#"{"jsonrpc":"2.0","id":9,"result":{}}"#) == .answered)
        #expect(isRefused(client.request("initialize"), .invalidRequest, .alreadyInitialized))
    }

    @Test func methodsOfOtherRevisionsAreUnknown() {
        var client = Conversation()
        _ = client.request("initialize", initialize)
        for method in ["server/discover", "subscriptions/listen", "tasks/list", "no/such"] {
            #expect(isRefused(client.request(method), .methodNotFound, .methodNotFound))
        }
        for method in ["sampling/createMessage", "roots/list", "notifications/initialized"] {
            #expect(isRefused(client.request(method), .methodNotFound, .methodNotFound))
        }
        #expect(client.notification("notifications/tools/list_changed") == .ignore)
        #expect(client.notification("notifications/never/heard") == .ignore)
    }

    static let versions: [(String, ProtocolVersion)] = [
        ("2024-11-05", .v2024_11_05), ("2025-03-26", .v2025_03_26), ("2025-06-18", .v2025_06_18),
        ("2025-11-25", .v2025_11_25), ("2026-07-28", .v2025_11_25), ("1999-01-01", .v2025_11_25),
        ("", .v2025_11_25),
    ]

    @Test(arguments: versions) func knownHandshakeVersionsAreKept(
        _ requested: String, _ negotiated: ProtocolVersion
    ) throws {
        var client = Conversation()
        #expect(
            client.request("initialize", #"{"protocolVersion":"\#(requested)"}"#)
                == .answerInitialize)
        #expect(client.session.version == negotiated)
        let result = try JSONValue(
            parsing: client.session.initializeResult(
                server: MCPPeer(name: "omni2-native", version: "1", title: "Hub"),
                capabilities: [.tools, .toolsListChanged, .resources, .resourcesSubscribe],
                instructions: nil))
        #expect(result["protocolVersion"]?.string == "\(negotiated.text)")
        #expect(
            result["capabilities"] == [
                "tools": ["listChanged": true], "resources": ["subscribe": true],
            ])
        #expect((result["serverInfo"]?["title"] != nil) == (negotiated >= .v2025_06_18))
        #expect(result["instructions"] == nil)
    }

    @Test func aClosedSessionServesNobody() {
        var client = Conversation()
        _ = client.request("initialize", initialize)
        client.session.close()
        #expect(isRefused(client.request("tools/list"), .invalidRequest, .notInitialized))
        #expect(isRefused(client.request("ping"), .invalidRequest, .notInitialized))
        #expect(client.notification("notifications/initialized") == .ignore)
        #expect(client.session.state == .closed)
    }

    @Test func aClientWithoutHandshakeIsServedAtOnce() {
        var client = Conversation(session: MCPSession(withoutHandshake: .v2024_11_05))
        #expect(client.request("tools/list") == .route(.listTools))
    }

    @Test func everyMethodIsFoundByItsName() {
        for method in MCPMethod.allCases {
            let text = TestText("\"\(method.name)\"")
            #expect(text.with { MCPMethod(text.whole, in: $0) } == method)
            #expect(MCPMethod(name: "\(method.name)") == method)
            #expect(method.isNotification == "\(method.name)".hasPrefix("notifications/"))
        }
        let escaped = TestText(#""tools\/c\u0061ll""#)
        #expect(escaped.with { MCPMethod(escaped.whole, in: $0) } == .callTool)
    }
}

@Suite("MCPClientSession")
struct MCPClientSessionTests {
    /// Reads the text as one JSON-RPC message and hands it on.
    private func with<Value>(_ json: String, _ body: (RPCMessage, RawSpan) -> Value) throws -> Value
    {
        let bytes = Array(json.utf8)
        return try bytes.withRawSpan { span in body(try RPCMessage.read(span), span) }
    }

    private func probe(
        _ session: inout MCPClientSession, _ json: String, status: Int = 200
    ) throws -> MCPClientSession.Action {
        var copy = session
        let action = try with(json) {
            copy.probeAnswered(.message($0, status: status), in: $1)
        }
        session = copy
        return action
    }

    private func initialized(
        _ session: inout MCPClientSession, _ json: String
    ) throws -> MCPClientSession.Action {
        var copy = session
        let action = try with(json) { copy.initializeAnswered($0, in: $1) }
        session = copy
        return action
    }

    private func answered(
        _ session: inout MCPClientSession, _ answer: UpstreamProbe.Answer
    ) -> MCPClientSession.Action {
        var copy = session
        let action = [UInt8]().withRawSpan { copy.probeAnswered(answer, in: $0) }
        session = copy
        return action
    }

    private let discovered = #"""
        {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28",
        "2025-11-25"],"capabilities":{"tools":{"listChanged":true}},"instructions":"be kind",
        "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"time","version":"3"}}}}
        """#
    private let handshake = #"""
        {"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-03-26","capabilities":{"tools":{},
        "logging":{}},"serverInfo":{"name":"sqlite","version":"1"}}}
        """#

    @Test func aModernServerIsReadyAfterTheProbe() throws {
        var session = MCPClientSession()
        #expect(session.start() == .sendDiscover)
        #expect(try probe(&session, discovered) == .ready(.v2026_07_28))
        #expect(session.version == .v2026_07_28)
        #expect(session.server == MCPPeer(name: "time", version: "3"))
        #expect(session.capabilities == [.tools, .toolsListChanged])
        #expect(session.instructions == "be kind")
        #expect(session.verdict == .modern)
    }

    @Test func anOldServerFallsBackToTheHandshake() throws {
        var session = MCPClientSession()
        _ = session.start()
        #expect(
            try probe(
                &session, #"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"what?"}}"#)
                == .sendInitialize)
        #expect(try initialized(&session, handshake) == .sendInitialized)
        #expect(session.version == nil)
        #expect(session.initializedSent() == .ready(.v2025_03_26))
        #expect(session.capabilities == [.tools, .logging])
        #expect(session.verdict == .handshake)
    }

    @Test func theVerdictSparesTheNextProbe() {
        var session = MCPClientSession(verdict: .handshake)
        #expect(session.start() == .sendInitialize)
        session.forgetVerdict()
        #expect(session.start() == .sendDiscover)
    }

    static let handshakeProbes: [(UpstreamProbe.Answer, MCPClientSession.Action)] = [
        (.silence(isStdio: true), .sendInitialize),
        (.silence(isStdio: false), .failed(.transport)),
        (.status(400), .sendInitialize), (.status(404), .sendInitialize),
        (.status(405), .sendInitialize), (.status(406), .sendInitialize),
        (.status(415), .sendInitialize), (.status(422), .sendInitialize),
        (.status(401), .failed(.unauthorized)), (.status(403), .failed(.unauthorized)),
        (.status(408), .failed(.transport)), (.status(429), .failed(.transport)),
        (.status(500), .failed(.transport)), (.status(503), .failed(.transport)),
    ]

    @Test(arguments: handshakeProbes) func answersWithoutABodyAreJudgedByStatus(
        _ answer: UpstreamProbe.Answer, _ action: MCPClientSession.Action
    ) {
        var session = MCPClientSession()
        _ = session.start()
        #expect(answered(&session, answer) == action)
    }

    static let errors: [(String, Int, MCPClientSession.Action)] = [
        (#"{"code":-32020,"message":""}"#, 400, .ready(.v2026_07_28)),
        (#"{"code":-32021,"message":""}"#, 400, .ready(.v2026_07_28)),
        (
            #"{"code":-32022,"message":"","data":{"supported":["2026-07-28"]}}"#, 400,
            .ready(.v2026_07_28)
        ),
        (
            #"{"code":-32022,"message":"","data":{"supported":["2025-06-18"]}}"#, 400,
            .sendInitialize
        ),
        (
            #"{"code":-32022,"message":"","data":{"supported":["2030-01-01"]}}"#, 400,
            .failed(.unsupportedVersion)
        ),
        (#"{"code":-32602,"message":"bad"}"#, 200, .sendInitialize),
        (#"{"code":-32000,"message":"no session"}"#, 400, .sendInitialize),
        (#"{"code":-32000,"message":"who?"}"#, 401, .failed(.unauthorized)),
    ]

    @Test(arguments: errors) func onlyModernCodesMeanModern(
        _ error: String, _ status: Int, _ action: MCPClientSession.Action
    ) throws {
        var session = MCPClientSession()
        _ = session.start()
        let json = #"{"jsonrpc":"2.0","id":1,"error":\#(error)}"#
        #expect(try probe(&session, json, status: status) == action)
    }

    @Test func theOldestFormIsTriedLast() {
        for status in [400, 404, 405] {
            var session = MCPClientSession(verdict: .handshake)
            _ = session.start()
            #expect(session.initializeAnswered(status: status) == .tryEventStream)
        }
        var session = MCPClientSession(verdict: .handshake)
        _ = session.start()
        #expect(session.initializeAnswered(status: 502) == .failed(.transport))
        #expect(session.state == .closed(.transport))
    }

    @Test func badHandshakesAreNamed() throws {
        let cases: [(String, MCPClientSession.Failure)] = [
            (#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#, .refused),
            (#"{"jsonrpc":"2.0","id":1,"result":{}}"#, .badAnswer),
            (
                #"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2026-07-28"}}"#,
                .unsupportedVersion
            ),
            (#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"1"}}"#, .unsupportedVersion),
        ]
        for (json, failure) in cases {
            var session = MCPClientSession(verdict: .handshake)
            _ = session.start()
            #expect(try initialized(&session, json) == .failed(failure))
        }
    }

    @Test func lateAnswersChangeNothing() throws {
        var session = MCPClientSession()
        #expect(try probe(&session, discovered) == .none)
        _ = session.start()
        session.stop()
        #expect(try probe(&session, discovered) == .none)
        #expect(try initialized(&session, handshake) == .none)
        #expect(session.initializedSent() == .none)
        #expect(session.state == .closed(.stopped))
    }

    @Test func aLostSessionIsNegotiatedAgain() throws {
        var session = MCPClientSession(verdict: .handshake)
        _ = session.start()
        _ = try initialized(&session, handshake)
        _ = session.initializedSent()
        #expect(session.sessionLost() == .sendInitialize)
        #expect(session.version == nil)
        #expect(session.sessionLost() == .none)
    }

    @Test func ourInitializeSaysWhoWeAre() throws {
        let params = try JSONValue(
            parsing: MCPClientSession.initializeParams(
                client: MCPPeer(name: "omni2-native", version: "1"),
                capabilities: [.sampling, .elicitation]))
        #expect(params["protocolVersion"]?.string == "2025-11-25")
        #expect(params["capabilities"] == ["sampling": [:], "elicitation": [:]])
        #expect(params["clientInfo"]?["name"]?.string == "omni2-native")
    }
}

@Suite("ModernRequest")
struct ModernRequestTests {
    private let envelope = #"""
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},
        "io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}
        """#

    private func read(
        _ method: String, _ params: String, _ headers: ModernRequest.Headers? = nil
    ) throws(RPCFailure) -> ModernRequest {
        let json = #"{"jsonrpc":"2.0","id":5,"method":"\#(method)","params":{\#(params)}}"#
        return try Array(json.utf8).withRawSpan { span throws(RPCFailure) in
            try ModernRequest.read(try RPCMessage.read(span), headers: headers, in: span)
        }
    }

    private func failure(
        _ method: String, _ params: String, _ headers: ModernRequest.Headers? = nil
    ) -> RPCCode? {
        do throws(RPCFailure) {
            _ = try read(method, params, headers)
            return nil
        } catch {
            #expect(error.id != nil)
            return error.code
        }
    }

    private func headers(
        version: String? = "2026-07-28", method: String? = "tools/call", name: String? = "a__b"
    ) -> ModernRequest.Headers {
        ModernRequest.Headers(version: version, method: method, name: name)
    }

    @Test func aRequestCarriesItsSender() throws {
        let request = try read("tools/call", #""name":"a__b",\#(envelope)"#, headers())
        #expect(request.method == .callTool)
        #expect(request.client.name == "c")
        #expect(request.capabilities == .elicitation)
    }

    @Test func aMissingEnvelopeIsInvalid() {
        #expect(failure("tools/list", "") == .invalidParams)
        #expect(failure("tools/list", #""_meta":{}"#) == .invalidParams)
        #expect(failure("tools/list", #""_meta":[]"#) == .invalidParams)
    }

    @Test func unknownVersionsAndMethodsAreTold() {
        let old = envelope.replacing("2026-07-28", with: "2025-11-25")
        #expect(failure("tools/list", old) == .unsupportedVersion)
        #expect(failure("initialize", envelope) == .methodNotFound)
        #expect(failure("ping", envelope) == .methodNotFound)
        #expect(failure("sampling/createMessage", envelope) == .methodNotFound)
        #expect(failure("server/discover", envelope) == nil)
    }

    @Test func headersMustAgreeWithTheBody() {
        let params = #""name":"a__b",\#(envelope)"#
        #expect(failure("tools/call", params, headers()) == nil)
        #expect(failure("tools/call", params, headers(name: "cheap")) == .headerMismatch)
        #expect(failure("tools/call", params, headers(name: nil)) == .headerMismatch)
        #expect(failure("tools/call", params, headers(method: "tools/list")) == .headerMismatch)
        #expect(failure("tools/call", params, headers(method: nil)) == .headerMismatch)
        #expect(failure("tools/call", params, headers(version: "2025-11-25")) == .headerMismatch)
        #expect(failure("tools/call", params, headers(version: nil)) == .headerMismatch)
        #expect(failure("tools/call", params, headers(name: "=?base64?YV9fYg==?=")) == nil)
        #expect(failure("tools/call", params, headers(name: "=?base64?!?=")) == .headerMismatch)
        #expect(failure("tools/list", envelope, headers(method: "tools/list", name: nil)) == nil)
    }

    @Test(arguments: ["a", "with space", "ünïcode", " edge ", "=?base64?eA==?=", "", "line\nbreak"])
    func headerValuesSurviveTheRoundTrip(_ text: String) {
        let encoded = ModernHeaders.encode(text)
        #expect(encoded.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
        #expect(ModernHeaders.decode(encoded) == text)
    }

    @Test func envelopesArePutOnAndTakenOff() throws {
        let text = TestText(#"{"name":"x","_meta":{"progressToken":1}}"#)
        let changes = ModernRequest.envelope(
            client: MCPPeer(name: "omni2-native", version: "1"), capabilities: [])
        let dressed = text.with { span in
            var splice = JSONSplice()
            splice.editMeta(of: text.whole, in: span, changes)
            return TestText(splice.applied(to: text.whole, of: span))
        }
        let value = try JSONValue(parsing: dressed.bytes)
        #expect(value["_meta"]?["io.modelcontextprotocol/protocolVersion"] == "2026-07-28")
        #expect(value["_meta"]?["progressToken"] == 1)
        let undressed = dressed.with { span in
            var splice = JSONSplice()
            splice.editMeta(of: dressed.whole, in: span, ModernRequest.envelopeRemoval)
            return splice.applied(to: dressed.whole, of: span)
        }
        #expect(try JSONValue(parsing: undressed) == JSONValue(parsing: text.bytes))
    }

    @Test func discoverNamesEveryVersionNewestFirst() throws {
        let result = try JSONValue(
            parsing: ModernRequest.discoverResult(
                server: MCPPeer(name: "n", version: "1"), capabilities: [.tools],
                instructions: "i", ttlMilliseconds: 60_000))
        #expect(result["supportedVersions"]?[0] == "2026-07-28")
        #expect(result["resultType"] == "complete")
        #expect(result["ttlMs"] == 60_000)
        #expect(result["_meta"]?["io.modelcontextprotocol/serverInfo"]?["name"] == "n")
    }
}
