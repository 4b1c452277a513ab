import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// The hub on a kernel with moods: sends are cut, refused and reset, completions change places.
/// Whatever happens, what a client reads are whole frames in order, without an unmarked gap.
@Suite("FanoutSimulation")
struct FanoutSimulationTests {
    /// One client across its connections.
    private struct Client {
        var descriptor: Int32
        var check = SequenceCheck()
        var reconnects = 0
    }

    private struct Story {
        let fixture: HubFixture
        var clients: [Client]

        /// Reads what the client's connection got, and ends it if it has ended.
        mutating func read(_ index: Int) {
            let descriptor = clients[index].descriptor
            guard let peer = fixture.io.peers[descriptor] else { return }
            let received = ReceivedFrames(peer.received)
            #expect(!received.isBroken, "client \(index) got a header that makes no sense")
            if peer.isOpen, !peer.hasHungUp {
                #expect(received.rest == 0, "client \(index) waits for the rest of a frame")
            }
            for frame in received.frames where frame.opcode == 1 {
                clients[index].check.take(frame.text)
            }
            fixture.io.peers[descriptor]?.received = []
        }

        mutating func reconnect(_ index: Int) {
            read(index)
            clients[index].reconnects += 1
            let expected = clients[index].check.expected
            clients[index].descriptor = fixture.connect(lastSeen: expected.map { $0 - 1 })
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func everyStreamIsWholeAndInOrder(_ seed: UInt64) throws {
        var moods = SimulatedIO.Moods()
        moods.partialSend = 60
        moods.fullSocket = 40
        moods.reset = 1
        moods.reordering = 80
        let fixture = try HubFixture(seed: seed, moods: moods) {
            $0.fanout.logBytesMax = 64 << 10
            $0.fanout.logEventsMax = 64
            $0.fanout.flightsPerTurnMax = 300
        }
        var story = Story(fixture: fixture, clients: [])
        for _ in 0..<1000 {
            story.clients.append(Client(descriptor: fixture.connect()))
        }
        for round in 0..<100 {
            if round == 10 { stall(50, story, true) }
            if round == 90 { stall(50, story, false) }
            for _ in 0..<fixture.io.pick(0..<4) {
                fixture.publish(padding: fixture.io.pick(0..<900))
            }
            ping(some: 20, story)
            fixture.turn(after: .microseconds(fixture.io.pick(50..<4000)))
            for index in story.clients.indices where hasEnded(story, index) {
                story.reconnect(index)
            }
        }
        fixture.io.moods = .init()
        fixture.turn(60, after: .milliseconds(10))
        for index in story.clients.indices {
            if hasEnded(story, index) { story.reconnect(index) }
        }
        fixture.turn(30, after: .milliseconds(10))
        judge(&story, seed)
    }

    /// Ten thousand clients lose their connection and come back while events go on.
    @Test func everyReturningClientEndsWithTheWholeSequence() throws {
        let seed: UInt64 = 11
        var moods = SimulatedIO.Moods()
        moods.partialSend = 20
        moods.fullSocket = 20
        let fixture = try HubFixture(seed: seed, moods: moods) {
            $0.fanout.subscribersMax = 15_000
            $0.fanout.logEventsMax = 64
        }
        var story = Story(fixture: fixture, clients: [])
        for _ in 0..<10_000 { story.clients.append(Client(descriptor: fixture.connect())) }
        for round in 0..<10 {
            for index in (round * 1000)..<((round + 1) * 1000) {
                fixture.io.peers[story.clients[index].descriptor]?.hasHungUp = true
            }
            for _ in 0..<2 {
                for _ in 0..<3 { fixture.publish(padding: 50) }
                fixture.turn(after: .milliseconds(3))
            }
            // The first hundred of each thousand stay away for longer than the log reaches.
            for index in story.clients.indices.prefix((round + 1) * 1000)
            where hasEnded(story, index) && (round == 9 || index % 1000 >= 100) {
                story.reconnect(index)
            }
        }
        for _ in 0..<20 { fixture.publish() }
        fixture.io.moods = .init()
        fixture.turn(20, after: .milliseconds(10))
        let next = fixture.hub.lastSequence + 1
        var (resumed, resynced) = (0, 0)
        for index in story.clients.indices {
            story.read(index)
            let client = story.clients[index]
            #expect(client.reconnects == 1 && client.check.gaps.isEmpty, "client \(index)")
            #expect(client.check.expected == next, "client \(index) is not complete")
            if client.check.resyncs > 0 { resynced += 1 } else { resumed += 1 }
        }
        #expect(resumed > 8000)
        #expect(resynced > 0 || fixture.hub.lastSequence <= 64)
        #expect(fixture.hub.count == 10_000)
    }

    private func hasEnded(_ story: Story, _ index: Int) -> Bool {
        guard let peer = story.fixture.io.peers[story.clients[index].descriptor] else {
            return true
        }
        return peer.hasHungUp || !peer.isOpen
    }

    /// Clients that read nothing while the log goes on and leaves them behind.
    private func stall(_ count: Int, _ story: Story, _ isStalled: Bool) {
        for client in story.clients.prefix(count) {
            story.fixture.io.peers[client.descriptor]?.isStalled = isStalled
        }
    }

    /// Answers of the connection's own have to find their place between the windows of the log.
    private func ping(some count: Int, _ story: Story) {
        var writer = ByteWriter(capacity: 64)
        Array("hello".utf8).withRawSpan {
            WebSocketWriter.frame(.ping, $0, mask: ByteMask(9, 8, 7, 6), into: &writer)
        }
        let ping = writer.array()
        for _ in 0..<count {
            let client = story.clients[story.fixture.io.pick(0..<story.clients.count)]
            story.fixture.io.peers[client.descriptor]?.arriving += ping
        }
    }

    private func judge(_ story: inout Story, _ seed: UInt64) {
        let next = story.fixture.hub.lastSequence + 1
        var (events, resyncs, reconnects) = (0, 0, 0)
        for index in story.clients.indices {
            story.read(index)
            let client = story.clients[index]
            #expect(client.check.gaps.isEmpty, "seed \(seed), client \(index)")
            #expect(client.check.expected == next, "seed \(seed), client \(index) is not complete")
            events += client.check.events
            resyncs += client.check.resyncs
            reconnects += client.reconnects
        }
        #expect(events > 10_000, "seed \(seed)")
        #expect(resyncs > 0 && reconnects > 0, "seed \(seed): the moods were too good")
        #expect(story.fixture.hub.fanout.statistics.cuts > 0, "seed \(seed)")
        #expect(story.fixture.hub.count == 1000, "seed \(seed)")
    }
}
