import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("CallSlots")
struct CallSlotsTests {
    private func slots(_ io: any IO, principal: Int = 1, server: Int = 10, waiting: Int = 1)
        -> CallSlots
    {
        var settings = CallSlots.Settings()
        settings.perPrincipalMax = principal
        settings.perServerMax = server
        settings.waitingMax = waiting
        return CallSlots(io: io, settings: settings)
    }

    @Test func oneTooManyWaitsAndTheNextIsRefused() async throws {
        try await RingFixture.run { io in
            let slots = slots(io)
            let first = try await slots.enter(
                principal: "a", server: 1, until: io.now + .seconds(5))
            var order: [String] = []
            io.spawn {
                let pass = try? await slots.enter(
                    principal: "a", server: 1, until: io.now + .seconds(5))
                order.append("second")
                if let pass { slots.leave(pass) }
            }
            await io.sleep(until: io.now + .milliseconds(5))
            await #expect(throws: CallSlots.Refusal.full) {
                _ = try await slots.enter(principal: "a", server: 1, until: io.now + .seconds(5))
            }
            // Somebody else is not concerned.
            let other = try await slots.enter(
                principal: "b", server: 1, until: io.now + .seconds(5))
            #expect(order.isEmpty)
            slots.leave(first)
            await io.sleep(until: io.now + .milliseconds(5))
            #expect(order == ["second"])
            slots.leave(other)
            #expect(slots.lanesInUse == 0)
        }
    }

    @Test func whoWaitsTooLongLeavesTheQueue() async throws {
        try await RingFixture.run { io in
            let slots = slots(io, principal: 10, server: 1)
            let first = try await slots.enter(
                principal: "a", server: 1, until: io.now + .seconds(5))
            await #expect(throws: CallSlots.Refusal.timedOut) {
                _ = try await slots.enter(
                    principal: "b", server: 1, until: io.now + .milliseconds(5))
            }
            slots.leave(first)
            #expect(slots.lanesInUse == 0)
            let again = try await slots.enter(
                principal: "b", server: 1, until: io.now + .milliseconds(5))
            slots.leave(again)
        }
    }
}
