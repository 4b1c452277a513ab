import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("WebSocketHub")
struct WebSocketHubTests {
    private static func texts(_ fixture: HubFixture, _ peer: Int32) -> [String] {
        let received = ReceivedFrames(fixture.io.peers[peer]?.received ?? [])
        return received.frames.filter { $0.opcode == 1 && !$0.isCompressed }.map(\.text)
    }

    private static func closeCode(_ fixture: HubFixture, _ peer: Int32) -> Int? {
        let received = ReceivedFrames(fixture.io.peers[peer]?.received ?? [])
        guard let close = received.frames.first(where: { $0.opcode == 8 }) else { return nil }
        return close.payload.prefix(2).reduce(0) { $0 << 8 | Int($1) }
    }

    private static func say(_ text: String, _ fixture: HubFixture, _ peer: Int32) {
        var writer = ByteWriter(capacity: text.utf8.count + 14)
        Array(text.utf8).withRawSpan {
            WebSocketWriter.frame(.text, $0, mask: ByteMask(5, 6, 7, 8), into: &writer)
        }
        fixture.io.peers[peer]?.arriving += writer.array()
        fixture.turn(4 + text.utf8.count)
    }

    @Test func eventsOfOneTurnLeaveInOneSend() throws {
        let fixture = try HubFixture()
        let peer = fixture.connect()
        fixture.turn(2)
        let sends = fixture.io.sendCount
        for _ in 0..<5 { fixture.publish() }
        fixture.turn(2)
        #expect(fixture.io.sendCount - sends == 1)
        #expect(Self.texts(fixture, peer).count == 6)
    }

    @Test func whoReturnsGetsWhatItMissed() throws {
        let fixture = try HubFixture()
        for _ in 0..<10 { fixture.publish() }
        let peer = fixture.connect(lastSeen: 4)
        fixture.turn(4)
        var check = SequenceCheck()
        for text in Self.texts(fixture, peer) { check.take(text) }
        #expect(Self.texts(fixture, peer).first?.hasPrefix(#"{"type":"resumed""#) == true)
        #expect(check.events == 6)
        #expect(check.gaps == [])
        #expect(check.expected == 11)
    }

    @Test func whoWasAwayTooLongGetsAMarkedSnapshot() throws {
        let fixture = try HubFixture { $0.fanout.logEventsMax = 64 }
        for _ in 0..<100 { fixture.publish() }
        let peer = fixture.connect(lastSeen: 4)
        fixture.turn(4)
        let texts = Self.texts(fixture, peer)
        #expect(texts.count == 1)
        #expect(texts.first?.contains(#""resync":true"#) == true)
    }

    @Test func whoFallsBehindTheLogIsClosedWherePolicySaysSo() throws {
        let fixture = try HubFixture {
            $0.fanout.logEventsMax = 64
            $0.resyncsLagging = false
        }
        let peer = fixture.connect()
        fixture.turn(2)
        fixture.io.peers[peer]?.isStalled = true
        for _ in 0..<200 {
            fixture.publish()
            fixture.turn()
        }
        fixture.io.peers[peer]?.isStalled = false
        fixture.turn(6)
        #expect(Self.closeCode(fixture, peer) == 1013)
    }

    @Test func whoTakesNothingForTooLongIsLetGo() throws {
        let fixture = try HubFixture { $0.stallTime = .seconds(3) }
        fixture.hub.start()
        let (stuck, reader) = (fixture.connect(), fixture.connect())
        fixture.turn(2)
        fixture.io.peers[stuck]?.isStalled = true
        for _ in 0..<20 {
            fixture.publish()
            fixture.turn(after: .seconds(1))
        }
        #expect(fixture.hub.statistics.stalled == 1)
        #expect(fixture.hub.count == 1)
        fixture.turn()
        #expect(Self.texts(fixture, reader).count == 21)
    }

    @Test func aClientOutsidePublishesAndIsToldTheNumber() throws {
        let fixture = try HubFixture()
        let peer = fixture.connect()
        fixture.turn(2)
        Self.say(#"{"action":"subscribe","event_types":["build.done"]}"#, fixture, peer)
        Self.say(
            #"{"action":"publish","type":"build.done","topic":"ci","data":{"ok":true}}"#, fixture,
            peer)
        let texts = Self.texts(fixture, peer)
        #expect(texts.contains { $0.contains(#""type":"published","seq":1"#) })
        #expect(
            texts.contains {
                $0.contains(#""type":"build.done""#) && $0.contains(#""topic":"ci""#)
            })
        Self.say(#"{"action":"publish","type":"No Name","data":{}}"#, fixture, peer)
        #expect(Self.texts(fixture, peer).contains { $0.contains(#""type":"error""#) })
        #expect(fixture.hub.lastSequence == 1)
    }

    @Test func anEventIsCompressedOnceForAllWhoAgreed() throws {
        let fixture = try HubFixture(deflate: Self.deflate())
        let peers = (0..<3).map { _ in fixture.connect() }
        fixture.turn(3)
        fixture.publish(padding: 600)
        fixture.publish(padding: 10)
        fixture.turn(3)
        let inflater = try Inflater()
        for peer in peers {
            let frames = ReceivedFrames(fixture.io.peers[peer]?.received ?? []).frames
            let notes = frames.suffix(2)
            #expect(notes.map(\.isCompressed) == [true, false])
            let compressed = Array(notes.first?.payload ?? [])
            #expect(compressed.count < 100)
            #expect(Self.inflate(compressed, inflater).hasPrefix(#"{"type":"note","seq":1,"#))
        }
    }

    @Test(arguments: [Principal.Role.superAdmin, .none])
    func anEventAboutAServerReachesOnlyWhoMaySeeIt(_ role: Principal.Role) throws {
        let fixture = try HubFixture(role: role)
        let peer = fixture.connect()
        fixture.turn(2)
        let facts = EventFacts(type: "note", audience: .everyone, mcpName: "db")
        Array(#"{"type":"note","mcp_name":"db"}"#.utf8).withRawSpan {
            _ = fixture.hub.publish($0, facts: facts)
        }
        fixture.turn(2)
        let isSeen = Self.texts(fixture, peer).contains { $0.contains("mcp_name") }
        #expect(isSeen == (role == .superAdmin))
    }

    @Test func aChangeOfPermissionIsFollowedAtOnce() throws {
        let fixture = try HubFixture()
        let peer = fixture.connect()
        let other = fixture.connect(as: "other")
        fixture.turn(2)
        func publish(_ server: String, _ number: Int) {
            let facts = EventFacts(type: "note", audience: .everyone, mcpName: server)
            Array(#"{"type":"note","server":"\#(server)","number":\#(number)}"#.utf8).withRawSpan {
                _ = fixture.hub.publish($0, facts: facts)
            }
        }
        func numbers(_ peer: Int32) -> [String] {
            Self.texts(fixture, peer).compactMap { text in
                text.split(separator: #""number":"#).dropFirst().first.map {
                    String($0.dropLast())
                }
            }
        }
        publish("db", 1)
        fixture.turn(2)
        // Published, not delivered yet: it is judged by the new permission as well.
        publish("db", 2)
        fixture.hub.accessChanged(Self.owner, to: Self.sees(.only(["web"])))
        publish("web", 3)
        publish("db", 4)
        fixture.turn(4)
        fixture.hub.accessChanged(Self.owner, to: .everything)
        publish("db", 5)
        fixture.turn(3)
        #expect(numbers(peer) == ["1", "3", "5"])
        #expect(numbers(other) == ["1", "2", "3", "4", "5"])
        // What they ask for later is judged by it too.
        fixture.hub.accessChanged(Self.owner, to: Self.sees(.only([])))
        Self.say(#"{"action":"subscribe","event_types":["note"]}"#, fixture, peer)
        publish("db", 6)
        fixture.turn(3)
        #expect(numbers(peer) == ["1", "3", "5"])
        fixture.hub.accessChanged(Self.owner, to: nil)
        fixture.turn(3)
        #expect(Self.closeCode(fixture, peer) == 1008)
        #expect(Self.closeCode(fixture, other) == nil)
        #expect(numbers(other).last == "6")
    }

    private static let owner = Principal(id: "test", name: "test", role: .superAdmin)

    private static func sees(_ servers: ServerAccess) -> EventAccess {
        EventAccess(items: EffectiveAccess(servers: servers), isAdministrator: true)
    }

    @Test func nobodyTakesAllTheRoom() {
        var quota = ConnectionQuota(perIdentityMax: 2, perAddressMax: 3)
        quota.enter("a", "127.0.0.1")
        quota.enter("a", "127.0.0.1")
        quota.enter("b", "127.0.0.1")
        #expect(quota.judge("a", "127.0.0.2") == .tooManyOfIdentity)
        #expect(quota.judge("b", "127.0.0.1") == .tooManyOfAddress)
        quota.leave("a", "127.0.0.1")
        #expect(quota.judge("a", "127.0.0.1") == .welcome)
    }

    /// What is agreed with a client that offers the extension without parameters.
    private static func deflate() throws -> PerMessageDeflate {
        let request = Array(
            """
            GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n
            """.utf8)
        var parser = HTTPRequestParser()
        var head = HTTPRequestHead()
        let handshake = try request.withRawSpan { bytes in
            _ = try parser.next(in: bytes, limits: HTTPLimits(), head: &head)
            return try WebSocketHandshake.check(head, in: bytes, deflate: .init()) { _ in
                [20 of UInt8](repeating: 0)
            }
        }
        return try #require(handshake.deflate)
    }

    private static func inflate(_ bytes: [UInt8], _ inflater: Inflater) -> String {
        inflater.begin()
        var output = [UInt8](repeating: 0, count: 4096)
        var position = 0
        let step = (bytes + [0, 0, 0xFF, 0xFF]).withRawSpan { input in
            unsafe output.withUnsafeMutableBytes {
                unsafe inflater.inflate(input, position: &position, into: $0)
            }
        }
        guard case .done(let count) = step else { return "" }
        return String(decoding: output[..<count], as: UTF8.self)
    }
}
