import OmniCore
import Testing

@testable import omni2_native

@Suite struct HealthCheckEventTests {
    @Test func everyCheckIsToldWithWhatItFound() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            let server = watch.server(id)
            #expect(watch.checks.last?["mcp_name"] == "db")
            #expect(watch.checks.last?["health_status"] == "healthy")
            #expect(watch.checks.last?["response_time_ms"]?.double != nil)
            #expect(watch.checks.last?["severity"] == "info")

            watch.session(id).mood = .refused
            let before = watch.checks.count
            _ = await watch.coordinator.checkNow(server)
            #expect(watch.checks.count == before + 1)
            #expect(watch.checks.last?["response_time_ms"]?.isNull == true)
            #expect(watch.checks.last?["reason"]?.string != nil)
            #expect(watch.checks.last?["severity"] == "high")
            #expect(server.latencies.json.array?.last?.isNull == true)
            await watch.stop()
        }
    }

    @Test func latenciesAreBounded() {
        var latencies = RecentLatencies()
        for milliseconds in 0..<100 { latencies.append(.milliseconds(milliseconds)) }
        #expect(latencies.json.array?.count == RecentLatencies.countMax)
        #expect(latencies.json.array?.last?.double == 99)
    }
}
