import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// When a drain waits for more events, and when it must not.
@Suite("FanoutPace")
struct FanoutPaceTests {
    private static let facts = EventFacts(type: "note", audience: .subscribers)

    /// A subscriber of `note`, and behind it in the table somebody who is none.
    private func fixtureWithTwo() throws -> (HubFixture, subscriber: Int32) {
        let fixture = try HubFixture()
        let subscriber = fixture.connect()
        fixture.connect()
        fixture.turn(3)
        fixture.say(#"{"action":"subscribe","event_types":["note"]}"#, from: subscriber)
        fixture.turn(60)
        fixture.io.peers[subscriber]?.received = []
        return (fixture, subscriber)
    }

    private func publish(_ fixture: HubFixture) {
        Array(#"{"type":"note","n":1}"#.utf8).withRawSpan {
            _ = fixture.hub.publish($0, facts: Self.facts)
        }
    }

    @Test func anEventAfterAQuietTimeLeavesAtOnce() throws {
        let (fixture, subscriber) = try fixtureWithTwo()
        let publisher = try #require(fixture.conversations.last)
        for round in 1...3 {
            // An answer of its own keeps the publisher's row out of the drain of its event; when
            // the answer has left, the row is behind and the next drain finds nothing for it.
            publisher.send(text: Array("answer".utf8))
            publish(fixture)
            fixture.turn()
            // That drain's turn ends when something comes, long after.
            fixture.turn(after: .milliseconds(50))
            publish(fixture)
            let before = fixture.io.peers[subscriber]?.received.count ?? 0
            fixture.turn()
            let after = fixture.io.peers[subscriber]?.received.count ?? 0
            #expect(after > before, "round \(round): the event waits although nothing was sent")
            fixture.turn(10)
        }
    }

    @Test func eventsThatComeDuringASlowDrainGather() throws {
        let (fixture, subscriber) = try fixtureWithTwo()
        publish(fixture)
        // The submission took that long: the next turn begins behind it.
        fixture.turn(after: .milliseconds(4))
        let sends = fixture.io.sendCount
        for _ in 0..<3 {
            publish(fixture)
            fixture.turn(after: .milliseconds(1))
        }
        #expect(fixture.io.sendCount == sends, "a drain that was slow is followed by a pause")
        fixture.turn(5, after: .milliseconds(1))
        #expect(fixture.io.sendCount == sends + 1)
        let received = ReceivedFrames(fixture.io.peers[subscriber]?.received ?? [])
        #expect(received.frames.count == 4)
    }

    /// The turn behind a drain may bring nothing but the ends of its sends: what comes next gathers
    /// all the same.
    @Test func eventsThatComeRightBehindASlowDrainGather() throws {
        let (fixture, _) = try fixtureWithTwo()
        publish(fixture)
        fixture.turn(after: .milliseconds(4))
        let sends = fixture.io.sendCount
        fixture.turn(after: .milliseconds(1))
        publish(fixture)
        fixture.turn(after: .milliseconds(1))
        #expect(fixture.io.sendCount == sends, "one millisecond behind a drain of four")
        fixture.turn(4, after: .milliseconds(1))
        #expect(fixture.io.sendCount == sends + 1)
    }

    @Test func aPauseIsNotLongerThanItsLimit() throws {
        let (fixture, _) = try fixtureWithTwo()
        publish(fixture)
        fixture.turn(after: .milliseconds(400))
        let sends = fixture.io.sendCount
        publish(fixture)
        fixture.turn(after: .milliseconds(4))
        #expect(fixture.io.sendCount == sends)
        fixture.turn(2, after: .milliseconds(1))
        #expect(fixture.io.sendCount == sends + 1, "five milliseconds are the most")
    }
}
