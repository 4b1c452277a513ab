import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("CircuitBreaker")
struct CircuitBreakerTests {
    @Test func eachTransitionIsAnnouncedOnce() {
        let bench = Bench()
        bench.add(1, "db")
        for _ in 0..<5 { bench.fail(1) }
        #expect(bench.admit(1) == nil)
        bench.now = bench.now + .seconds(60)
        bench.fail(1)
        bench.now = bench.now + .seconds(60)
        bench.succeed(1)
        for _ in 0..<10 { bench.succeed(1) }
        #expect(
            bench.lines == [
                "db closed→open", "db open→half_open", "db half_open→open", "db open→half_open",
                "db half_open→closed",
            ])
        #expect(bench.changes[0].failures == 5 && bench.changes[0].threshold == 5)
        #expect(bench.changes[2].transition.failureCycles == 1)
        #expect(
            bench.breaker.counts
                == .init(opened: 2, halfOpened: 2, closed: 1, disabled: 0, refusals: 1))
        #expect(
            bench.journal.records.map(\.id) == [
                .circuitOpened, .circuitHalfOpen, .circuitOpened, .circuitHalfOpen, .circuitClosed,
            ])
        #expect(bench.journal.records.allSatisfy { $0.fields["mcp"] == "db" })
        #expect(bench.journal.records.allSatisfy { $0.service == .circuitBreaker })
    }

    /// Calls outlive the phase they were let through in.
    @Test func failuresOfCallsLetThroughBeforeAnnounceNothingAgain() {
        let bench = Bench()
        bench.add(1, "db")
        let passes = (0..<100).compactMap { _ in bench.admit(1) }
        #expect(passes.count == 100)
        for pass in passes { bench.breaker.failed(pass) }
        #expect(bench.lines == ["db closed→open"])
        bench.now = bench.now + .seconds(60)
        #expect(bench.admit(1) != nil)
        for pass in passes { bench.breaker.succeeded(pass) }
        #expect(bench.breaker.state(of: 1) == .halfOpen)
    }

    @Test func halfOpenAdmitsAsManyAsConfigured() {
        let bench = Bench()
        bench.add(1, "db")
        for _ in 0..<5 { bench.fail(1) }
        bench.now = bench.now + .seconds(60)
        let passes = (0..<1000).compactMap { _ in bench.admit(1) }
        #expect(passes.count == 3)
        bench.breaker.abandoned(passes[0])
        bench.breaker.abandoned(passes[1])
        #expect((0..<1000).compactMap { _ in bench.admit(1) }.count == 2)
    }

    @Test func aRefusalSaysHowLongToWait() {
        let bench = Bench()
        bench.add(1, "db")
        for _ in 0..<5 { bench.fail(1) }
        bench.now = bench.now + .milliseconds(15_500)
        #expect(
            bench.breaker.admit(1) == .refused(retryAfterSeconds: 45, state: .open))
        #expect(bench.breaker.retryAfterSeconds(of: 1) == 45)
        #expect(bench.breaker.admit(2) == .refused(retryAfterSeconds: nil, state: .closed))
    }

    @Test func outagesWithASuccessBetweenThemDoNotAddUp() {
        let bench = Bench()
        bench.add(1, "db")
        for _ in 0..<10 {
            while bench.breaker.state(of: 1) == .closed { bench.fail(1) }
            for _ in 0..<2 {
                bench.now = bench.now + .seconds(60)
                bench.fail(1)
            }
            bench.now = bench.now + .seconds(60)
            bench.succeed(1)
            #expect(bench.breaker.failureCycles(of: 1) == 0)
        }
        #expect(bench.breaker.counts.disabled == 0)
    }

    @Test(arguments: [(3, 4), (1, 1), (7, 7)])
    func aServersOwnLimitOfCyclesCounts(own: Int, expected: Int) {
        // 3 is the column's default: then what is configured for all holds.
        let bench = Bench(CircuitBreakerConfiguration(failureCyclesMax: 4))
        bench.add(1, "db", failureCyclesMax: own)
        #expect(bench.breaker.failureCyclesMax(of: 1) == expected)
        for _ in 0..<5 { bench.fail(1) }
        var cycles = 0
        while bench.breaker.state(of: 1) != .disabled, cycles < 50 {
            bench.now = bench.now + .seconds(60)
            bench.fail(1)
            cycles += 1
        }
        #expect(cycles == expected)
        bench.now = bench.now + .seconds(86_400)
        #expect(bench.breaker.admit(1) == .refused(retryAfterSeconds: nil, state: .disabled))
    }

    @Test func circuitsOfOthersAreUntouched() {
        let bench = Bench()
        bench.add(1, "a")
        bench.add(2, "b")
        for _ in 0..<5 { bench.fail(1) }
        #expect(bench.breaker.isOpen(1) && !bench.breaker.isOpen(2))
        #expect(bench.admit(2) != nil)
        bench.breaker.remove(1)
        #expect(bench.breaker.openCount == 0)
        #expect(bench.lines == ["a closed→open"])
    }

    @Test func aNewThresholdHoldsAtOnceAndOffClosesEverything() {
        let bench = Bench()
        bench.add(1, "db")
        bench.add(2, "git")
        bench.fail(1)
        var configuration = bench.breaker.configuration
        configuration.failureThreshold = 2
        bench.breaker.configure(configuration)
        bench.fail(1)
        #expect(bench.lines == ["db closed→open"])
        configuration.isEnabled = false
        bench.breaker.configure(configuration)
        #expect(bench.lines == ["db closed→open", "db open→closed"])
        for _ in 0..<10 { bench.fail(2) }
        #expect(bench.lines.count == 2)
    }

    @Test func callsOfAServerLoadedAnewNoLongerCount() throws {
        let bench = Bench(CircuitBreakerConfiguration(failureThreshold: 1))
        bench.add(1, "db")
        let pass = try #require(bench.admit(1))
        bench.breaker.renew(1, named: "db2", failureCyclesMax: 3)
        #expect(!bench.breaker.isCurrent(pass))
        bench.breaker.failed(pass)
        bench.breaker.remove(1)
        bench.breaker.failed(pass)
        bench.add(1, "db2")
        bench.breaker.failed(pass)
        #expect(bench.lines.isEmpty)
        bench.fail(1)
        #expect(bench.lines == ["db2 closed→open"])
        bench.breaker.renew(1, named: "db3", failureCyclesMax: 3)
        #expect(bench.lines == ["db2 closed→open", "db2 open→closed"])
    }

    @Test func aRecordIsTakenUpWhereItWasLeft() {
        let bench = Bench()
        bench.breaker.add(
            1, named: "db", failureCyclesMax: 3,
            from: CircuitRecord(
                state: .open, consecutiveFailures: 5, failureCycles: 2, openRemaining: .seconds(20))
        )
        #expect(bench.breaker.retryAfterSeconds(of: 1) == 20)
        #expect(bench.lines.isEmpty)
        bench.now = bench.now + .seconds(20)
        bench.fail(1)
        #expect(bench.lines == ["db open→half_open", "db half_open→open"])
        #expect(bench.breaker.state(of: 1) == .disabled)
    }
}

@Suite("CircuitBreaker configuration")
struct CircuitBreakerConfigurationTests {
    @Test func itsJSONHasTheSixMembersOfTheOriginal() throws {
        let json = CircuitBreakerConfiguration().json
        #expect(
            json == [
                "enabled": true, "failure_threshold": 5, "timeout_seconds": 60,
                "half_open_max_calls": 3, "max_failure_cycles": 3, "auto_disable_enabled": true,
            ])
        #expect(try CircuitBreakerConfiguration().applying(json) == CircuitBreakerConfiguration())
    }

    @Test func absentMembersKeepTheirValuesAndStrangersAreLeftAlone() throws {
        var expected = CircuitBreakerConfiguration()
        expected.openTimeout = .milliseconds(2500)
        expected.autoDisables = false
        let changed = try CircuitBreakerConfiguration().applying([
            "timeout_seconds": 2.5, "auto_disable_enabled": false, "colour": "red",
        ])
        #expect(changed == expected)
        #expect(try CircuitBreakerConfiguration().applying(changed.json) == changed)
    }

    @Test(arguments: [
        #"[]"#, #"null"#, #"{"enabled": 1}"#, #"{"enabled": "true"}"#, #"{"enabled": null}"#,
        #"{"failure_threshold": 0}"#, #"{"failure_threshold": 1001}"#,
        #"{"failure_threshold": 2.5}"#, #"{"failure_threshold": "5"}"#,
        #"{"timeout_seconds": 0}"#, #"{"timeout_seconds": -1}"#, #"{"timeout_seconds": 86401}"#,
        #"{"timeout_seconds": 1e300}"#, #"{"half_open_max_calls": 0}"#,
        #"{"max_failure_cycles": -3}"#, #"{"max_failure_cycles": 99999999999999999999}"#,
        #"{"auto_disable_enabled": []}"#,
    ])
    func badValuesAreRejectedAndNothingChanges(text: String) throws {
        let json = try JSONValue(parsing: text)
        #expect(throws: CircuitBreakerConfiguration.Rejection.self) {
            try CircuitBreakerConfiguration().applying(json)
        }
    }
}

/// A breaker with a clock in the test's hand.
private final class Bench {
    var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    let journal = Journal.recording()
    private(set) var changes: [CircuitBreaker.Change] = []
    private(set) var breaker: CircuitBreaker

    init(_ configuration: CircuitBreakerConfiguration = CircuitBreakerConfiguration()) {
        var clock: () -> MonotonicTime = { .zero }
        breaker = CircuitBreaker(
            log: Log(journal, service: .circuitBreaker), configuration: configuration,
            now: { clock() })
        clock = { [unowned self] in self.now }
        breaker.changed = { [unowned self] in self.changes.append($0) }
    }

    var lines: [String] {
        changes.map {
            "\($0.name) \($0.transition.oldState.word)→\($0.transition.newState.word)"
        }
    }

    func add(_ server: Int, _ name: String, failureCyclesMax: Int = 3) {
        breaker.add(
            server, named: name, failureCyclesMax: failureCyclesMax,
            from: CircuitRecord(state: .closed, consecutiveFailures: 0, failureCycles: 0))
    }

    func admit(_ server: Int) -> CircuitBreaker.Pass? {
        guard case .admitted(let pass) = breaker.admit(server) else { return nil }
        return pass
    }

    func fail(_ server: Int) { if let pass = admit(server) { breaker.failed(pass) } }
    func succeed(_ server: Int) { if let pass = admit(server) { breaker.succeeded(pass) } }
}
