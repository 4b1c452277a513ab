import Testing

@testable import OmniCore

/// Anything in the shape of a hand-over, drawn from a seed.
struct HandoverSample {
    var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func pick(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
    mutating func flag() -> Bool { Bool.random(using: &random) }

    mutating func bytes(_ limit: Int = 40) -> [UInt8] {
        (0..<pick(0..<limit)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    mutating func text() -> String {
        String((0..<pick(0..<12)).map { _ in ["a", "Ω", "0", "\n", "é", "\"", ":"][pick(0..<7)] })
    }

    mutating func identity() -> ParkedIdentity {
        ParkedIdentity(
            id: text(), name: text(), role: text(), credential: text(), proof: bytes())
    }

    /// In the middle of something: a session is fed a part of what a client sends.
    mutating func session() -> WebSocketSession {
        var session = WebSocketSession(allowsCompression: flag())
        var sent: [UInt8] = []
        let key: [UInt8] = [1, 2, 3, 4]
        for (opcode, payload) in [(UInt8(0x01), "begin Ω"), (0x89, "ping"), (0x80, "end")] {
            let masked = payload.utf8.enumerated().map { $1 ^ key[$0 & 3] }
            sent += [opcode, 0x80 | UInt8(masked.count)] + key + masked
        }
        var part = Array(sent[..<pick(0..<sent.count)])
        unsafe part.withUnsafeMutableBytes { raw in
            var span = unsafe raw.mutableBytes
            var position = 0
            while session.received(&span, position: &position) != .needMore {}
        }
        return session
    }

    mutating func socket() -> ParkedWebSocket {
        var socket = ParkedWebSocket(
            identity: identity(), application: text(), address: flag() ? text() : nil,
            deflateBits: UInt8(pick(0..<16)), session: session())
        socket.carry = bytes()
        socket.message = bytes()
        socket.compressed = flag() ? bytes() : nil
        socket.cursor = random.next()
        socket.silence = UInt32(truncatingIfNeeded: random.next())
        socket.stall = UInt32(pick(0..<100))
        for _ in 0..<pick(0..<4) {
            socket.subscriptions.append(
                ParkedWebSocket.Subscription(id: text(), types: [text(), text()], filter: bytes()))
        }
        return socket
    }

    mutating func connection() -> ParkedConnection {
        let talk: ParkedConnection.Talk =
            switch pick(0..<4) {
            case 0: .requests
            case 1: .webSocket(socket())
            case 2:
                .stream(
                    ParkedStream(
                        identity: identity(), kind: .session(text()), requestID: text(),
                        request: bytes()))
            default:
                .stream(
                    ParkedStream(
                        identity: identity(), kind: .events(types: [text()], cursor: random.next()),
                        requestID: text(), request: bytes()))
            }
        return ParkedConnection(
            cookie: random.next(), listener: text(), audience: UInt8(pick(0..<3)),
            unread: bytes(200), unsent: bytes(200), talk: talk)
    }

    mutating func image() -> HandoverImage {
        HandoverImage(
            log: HandoverImage.LogMark(epoch: random.next(), next: random.next()),
            connections: (0..<pick(0..<6)).map { _ in connection() },
            sessions: (0..<pick(0..<4)).map { _ in
                ParkedSession(
                    id: text(), identity: identity(),
                    machine: MCPSession(
                        restored: .ready, version: .v2025_06_18,
                        client: MCPPeer(name: text(), version: text(), title: nil),
                        capabilities: ClientCapabilities(rawValue: UInt16(pick(0..<64)))),
                    idle: UInt32(pick(0..<10_000)),
                    logLevel: MCPLogLevel(rawValue: UInt8(pick(0..<9))),
                    sequence: UInt64(pick(0..<1_000_000)))
            })
    }
}

@Suite("The hand-over's bytes")
struct HandoverImageTests {
    private func decoded(_ bytes: [UInt8]) -> Result<HandoverImage, HandoverError> {
        do throws(HandoverError) {
            return .success(try HandoverImage(decoding: bytes))
        } catch {
            return .failure(error)
        }
    }

    @Test(arguments: testSeeds) func whatIsWrittenIsRead(_ seed: UInt64) {
        var sample = HandoverSample(seed: seed)
        for step in 0..<50 {
            let image = sample.image()
            #expect(decoded(image.encoded()) == .success(image), "seed \(seed), step \(step)")
        }
    }

    @Test(arguments: testSeeds) func everyTruncationIsFoundOut(_ seed: UInt64) {
        var sample = HandoverSample(seed: seed)
        var image = sample.image()
        image.connections.append(sample.connection())
        let bytes = image.encoded()
        for count in 0..<bytes.count {
            guard case .failure(.damaged) = decoded(Array(bytes[..<count])) else {
                Issue.record("seed \(seed): \(count) of \(bytes.count) bytes were accepted")
                return
            }
        }
    }

    @Test(arguments: testSeeds) func everyFlippedBitIsFoundOut(_ seed: UInt64) {
        var sample = HandoverSample(seed: seed)
        let bytes = sample.image().encoded()
        for offset in bytes.indices {
            var other = bytes
            other[offset] ^= 1 << UInt8(sample.pick(0..<8))
            if case .success = decoded(other) {
                Issue.record("seed \(seed): a change at \(offset) was not noticed")
            }
        }
    }

    @Test(arguments: testSeeds) func randomDamageBehindAValidChecksumNeverTraps(_ seed: UInt64) {
        var sample = HandoverSample(seed: seed)
        var refused = 0
        for _ in 0..<300 {
            var body = Array(sample.image().encoded()[HandoverImage.headerByteCount...])
            for _ in 0..<sample.pick(1..<8) {
                body[sample.pick(0..<body.count)] = UInt8(sample.pick(0..<256))
            }
            var head = StateWriter()
            head.put(HandoverImage.version)
            head.put(Checksum.of(body))
            if case .failure(.damaged) = decoded(HandoverImage.magic + head.bytes + body) {
                refused += 1
            }
        }
        #expect(refused > 0, "seed \(seed)")
    }

    @Test(arguments: [UInt32(0), 2, 3, 255, 256, 1 << 31, .max])
    func otherVersionsAreNamed(_ version: UInt32) {
        var bytes = HandoverImage(log: HandoverImage.LogMark(epoch: 1, next: 2)).encoded()
        for index in 0..<4 { bytes[8 + index] = UInt8(truncatingIfNeeded: version >> (8 * index)) }
        #expect(decoded(bytes) == .failure(.version(version)))
    }

    @Test func aUsedOneAndAForeignOneAreToldApart() {
        let bytes = HandoverImage(log: HandoverImage.LogMark(epoch: 1, next: 2)).encoded()
        #expect(decoded(HandoverImage.usedMagic + bytes[8...]) == .failure(.used))
        #expect(decoded(Array("SQLite format 3".utf8)) == .failure(.foreign))
    }

    @Test func theChecksumIsTheUsualOne() {
        #expect(Checksum.of(Array("123456789".utf8)) == 0xCBF4_3926)
    }

    /// An update of the layout without a new version would be read as something else.
    @Test func theLayoutOfThisVersionIsAsItWas() {
        var sample = HandoverSample(seed: 7)
        let image = sample.image()
        #expect(HandoverImage.version == 1)
        #expect(decoded(image.encoded()) == .success(image))
    }
}

@Suite("What filters ask of an event, kept")
struct EventFactsStateTests {
    private let full = EventFacts(
        type: "mcp_status_change", audience: .flow(user: -7), mcpName: "Git", severity: "high",
        oldStatus: "healthy", newStatus: "down", state: "open", healthStatus: "unhealthy",
        failureCycles: -3, userRole: "admin", actionType: "enable", tool: "log",
        isAboutPeople: true)

    /// A field that nobody set here may be one that is not carried: it belongs into `full`.
    @Test func theSampleHasEveryField() {
        for child in Mirror(reflecting: full).children {
            #expect("\(child.value)" != "nil", "\(child.label ?? "") is not set in the sample")
        }
    }

    @Test func everyFieldIsCarried() throws {
        for facts in [
            full, EventFacts(type: "ping", audience: .everyone), EventFacts(type: "custom"),
        ] {
            var state = StateWriter()
            facts.write(to: &state)
            var reader = StateReader(state.bytes[...])
            #expect(try EventFacts(from: &reader) == facts)
            #expect(reader.isAtEnd)
        }
    }

    @Test(arguments: [
        "{}", #"{"mcp_names":["b","A"],"severity":["high"],"failure_cycles":3}"#,
        #"{"old_status":"healthy","new_status":"down","state":["OPEN"],"health_status":["x"]}"#,
        #"{"user_roles":["admin"],"action_type":["enable_mcp","other"]}"#,
    ]) func aFilterIsTheSameAfterItsWords(_ text: String) throws {
        let filter = EventFilter(try JSONValue(parsing: text))
        #expect(EventFilter(filter.json) == filter)
        let words = try filter.json.bytes.withRawSpan { bytes throws(JSONError) in
            try JSONValue(parsing: bytes)
        }
        #expect(EventFilter(words) == filter)
    }
}
