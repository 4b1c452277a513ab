import Glibc
import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// The hub on a kernel with moods: sends are cut, refused and reset, completions change places.
/// Whatever happens, what a client reads are whole frames in order, without an unmarked gap.
///
/// The seed of a run is in its name and in what it finds; `OMNI_SEED` repeats one. That the checks
/// would notice a broken hub is shown by kernels that make it look like one.
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
        var clients: [Client] = []
        /// What no client may ever see.
        var violations: [String] = []

        mutating func require(_ condition: Bool, _ what: @autoclosure () -> String) {
            if !condition { violations.append(what()) }
        }

        /// Reads what the client's connection got, and ends it if it has ended.
        mutating func read(_ index: Int) {
            let descriptor = clients[index].descriptor
            guard let peer = fixture.io.peers[descriptor] else { return }
            let received = ReceivedFrames(peer.received)
            require(!received.isBroken, "client \(index) got a header that makes no sense")
            if peer.isOpen, !peer.hasHungUp {
                require(received.rest == 0, "client \(index) waits for the rest of a frame")
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

    /// The same ones in every run, and a new one or the one that is asked for.
    static let seeds: [UInt64] = {
        let asked = unsafe getenv("OMNI_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
        return [1, 2, asked ?? UInt64.random(in: 1_000...999_999_999)]
    }()

    @Test(arguments: seeds)
    func everyStreamIsWholeAndInOrder(_ seed: UInt64) throws {
        let story = try tell(seed, clients: 1000, rounds: 100, fault: nil)
        #expect(story.violations.isEmpty, "OMNI_SEED=\(seed): \(story.violations.prefix(5))")
        let clients = story.clients
        #expect(clients.reduce(0) { $0 + $1.check.events } > 10_000, "OMNI_SEED=\(seed)")
        #expect(
            clients.contains { $0.check.resyncs > 0 } && clients.contains { $0.reconnects > 0 },
            "OMNI_SEED=\(seed): the moods were too good")
        #expect(story.fixture.hub.fanout.statistics.cuts > 0, "OMNI_SEED=\(seed)")
        #expect(story.fixture.io.reorderings > 0, "OMNI_SEED=\(seed)")
        #expect(story.fixture.hub.count == 1000, "OMNI_SEED=\(seed)")
    }

    @Test(arguments: SimulatedIO.Fault.allCases)
    func aBrokenHubIsNoticed(_ fault: SimulatedIO.Fault) throws {
        let whole = try tell(5, clients: 200, rounds: 60, fault: nil)
        #expect(whole.violations.isEmpty, "\(whole.violations.prefix(5))")
        let broken = try tell(5, clients: 200, rounds: 60, fault: fault)
        #expect(broken.fixture.io.faults > 0, "it never happened")
        #expect(!broken.violations.isEmpty, "nobody noticed")
    }

    private func tell(
        _ seed: UInt64, clients: Int, rounds: Int, fault: SimulatedIO.Fault?
    ) throws -> Story {
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
        var story = Story(fixture: fixture)
        for _ in 0..<clients { story.clients.append(Client(descriptor: fixture.connect())) }
        fixture.io.fault = fault
        for round in 0..<rounds {
            if round == rounds / 10 { stall(clients / 20, story, true) }
            if round == rounds * 9 / 10 { stall(clients / 20, story, false) }
            for _ in 0..<fixture.io.pick(0..<4) {
                fixture.publish(padding: fixture.io.pick(0..<900))
            }
            ping(some: clients / 50, story)
            fixture.turn(after: .microseconds(fixture.io.pick(50..<4000)))
            for index in story.clients.indices where hasEnded(story, index) {
                story.reconnect(index)
            }
        }
        fixture.io.fault = nil
        fixture.io.moods = .init()
        fixture.turn(60, after: .milliseconds(10))
        for index in story.clients.indices {
            if hasEnded(story, index) { story.reconnect(index) }
        }
        fixture.turn(30, after: .milliseconds(10))
        judge(&story)
        return story
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
        var story = Story(fixture: fixture)
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
        #expect(story.violations.isEmpty, "\(story.violations.prefix(5))")
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

    private func judge(_ story: inout Story) {
        let next = story.fixture.hub.lastSequence + 1
        for index in story.clients.indices {
            story.read(index)
            let check = story.clients[index].check
            story.require(check.gaps.isEmpty, "client \(index): \(check.gaps.prefix(3))")
            story.require(
                check.expected == next,
                "client \(index) stands at \(check.expected ?? 0) instead of \(next)")
        }
    }
}
