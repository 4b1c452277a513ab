import OmniIO
import Testing

@testable import omni2_native

@Suite("HostMetrics")
struct HostMetricsTests {
    @Test func theProcessorsShareIsBetweenTwoReadings() throws {
        let before = try #require(
            HostMetrics.ticks("cpu  100 0 50 800 50 0 0 0 30 0\ncpu0 1 2 3 4\n"))
        let after = try #require(HostMetrics.ticks("cpu  150 0 75 875 100 0 0 0 60 0\n"))
        #expect(before == HostMetrics.Ticks(busy: 150, total: 1000))
        #expect(HostMetrics.percent(from: before, to: after) == 37.5)
        #expect(HostMetrics.percent(from: after, to: before) == 0)
        #expect(HostMetrics.percent(from: after, to: after) == 0)
    }

    @Test func memoryIsWhatIsNotAvailable() {
        let sample = HostMetrics.memory(
            "MemTotal:       2048000 kB\nMemFree: 1 kB\nMemAvailable:    512000 kB\n")
        #expect(sample.memory == 75)
        #expect(sample.memoryTotalMiB == 2000)
        #expect(sample.memoryUsedMiB == 1500)
    }

    @Test(arguments: ["", "\n", "cpu", "cpu  1 2 3", "cpu  a b c d e f", "intr 1 2 3 4 5 6"])
    func garbageIsNoReading(text: String) {
        #expect(HostMetrics.ticks(text) == nil)
        #expect(HostMetrics.memory(text) == HostMetrics.Sample())
    }

    @Test func theHostAnswers() async throws {
        try await RingFixture.run { io in
            let metrics = HostMetrics()
            let first = await metrics.sample(io)
            let second = await metrics.sample(io)
            #expect(first.processor == 0)
            #expect(first.memoryTotalMiB > 0 && first.memoryUsedMiB <= first.memoryTotalMiB)
            #expect((0...100).contains(second.processor))
        }
    }
}
