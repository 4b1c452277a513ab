import OmniCore
import Testing

private func at(_ seconds: Int) -> MonotonicTime { .zero + .seconds(seconds) }

@Suite("CircuitState")
struct CircuitStateTests {
    private let settings = CircuitSettings()

    private func transition(
        _ old: CircuitState.Name, _ new: CircuitState.Name, _ reason: CircuitTransition.Reason,
        cycles: Int = 0
    ) -> CircuitTransition {
        CircuitTransition(oldState: old, newState: new, reason: reason, failureCycles: cycles)
    }

    private func opened(at seconds: Int = 0) -> CircuitState {
        var circuit = CircuitState()
        for _ in 0..<5 { _ = circuit.failed(nil, at: at(seconds), settings) }
        return circuit
    }

    /// The permit and the transition of a call that must pass.
    private func pass(
        _ circuit: inout CircuitState, at seconds: Int
    ) throws -> (CircuitPermit, CircuitTransition?) {
        guard case .passes(let permit, let change) = circuit.admit(at: at(seconds), settings) else {
            struct Refused: Error {}
            throw Refused()
        }
        return (permit, change)
    }

    @Test func theFifthFailureInARowOpens() throws {
        var circuit = CircuitState()
        for second in 1...4 {
            let (permit, _) = try pass(&circuit, at: second)
            #expect(circuit.failed(permit, at: at(second), settings) == nil)
            #expect(circuit.consecutiveFailures == second)
        }
        let (permit, _) = try pass(&circuit, at: 5)
        #expect(
            circuit.failed(permit, at: at(5), settings)
                == transition(.closed, .open, .thresholdReached))
        #expect(circuit.admit(at: at(5), settings) == .refused(retryAfterSeconds: 60))
    }

    @Test func aSuccessStartsTheCountAgain() throws {
        var circuit = CircuitState()
        for _ in 0..<4 { _ = circuit.failed(nil, at: at(1), settings) }
        #expect(circuit.succeeded(nil) == nil)
        for _ in 0..<4 { #expect(circuit.failed(nil, at: at(2), settings) == nil) }
        #expect(circuit.failed(nil, at: at(2), settings) != nil)
    }

    @Test func furtherFailuresWhileOpenAnnounceNothingAndProlongNothing() {
        var circuit = opened()
        #expect(circuit.failed(nil, at: at(30), settings) == nil)
        #expect(circuit.retryAfterSeconds(at: at(30)) == 30)
    }

    @Test func retryAfterIsWholeSecondsRoundedUp() {
        let circuit = opened()
        #expect(circuit.retryAfterSeconds(at: at(0)) == 60)
        #expect(circuit.retryAfterSeconds(at: .zero + .milliseconds(1)) == 60)
        #expect(circuit.retryAfterSeconds(at: .zero + .milliseconds(59_001)) == 1)
        #expect(circuit.retryAfterSeconds(at: at(60)) == nil)
        #expect(CircuitState().retryAfterSeconds(at: at(0)) == nil)
    }

    @Test func theTimeoutLetsAFewCallsThrough() throws {
        var circuit = opened()
        #expect(circuit.admit(at: at(59), settings) == .refused(retryAfterSeconds: 1))
        let (_, change) = try pass(&circuit, at: 60)
        #expect(change == transition(.open, .halfOpen, .timeoutPassed))
        #expect(try pass(&circuit, at: 60).1 == nil)
        #expect(try pass(&circuit, at: 61).1 == nil)
        #expect(circuit.admit(at: at(61), settings) == .refused(retryAfterSeconds: 1))
    }

    @Test func anAbandonedTestGivesItsPlaceBack() throws {
        var circuit = opened()
        let (first, _) = try pass(&circuit, at: 60)
        _ = try pass(&circuit, at: 60)
        _ = try pass(&circuit, at: 60)
        circuit.abandoned(first)
        _ = try pass(&circuit, at: 60)
        #expect(circuit.admit(at: at(60), settings) == .refused(retryAfterSeconds: 1))
    }

    @Test func lostOutcomesDoNotLockTheCircuit() throws {
        var circuit = opened()
        for _ in 0..<3 { _ = try pass(&circuit, at: 60) }
        #expect(circuit.admit(at: at(119), settings) == .refused(retryAfterSeconds: 1))
        _ = try pass(&circuit, at: 120)
    }

    @Test func oneSuccessClosesAndForgetsTheCycles() throws {
        var circuit = opened()
        let (failing, _) = try pass(&circuit, at: 60)
        #expect(
            circuit.failed(failing, at: at(61), settings)
                == transition(.halfOpen, .open, .testFailed, cycles: 1))
        let (working, _) = try pass(&circuit, at: 121)
        #expect(
            circuit.succeeded(working) == transition(.halfOpen, .closed, .serverAnswered))
        #expect(circuit.failureCycles == 0)
        #expect(circuit.consecutiveFailures == 0)
    }

    @Test func threeFailedTestsInARowDisable() throws {
        var circuit = opened()
        for (cycle, second) in [(1, 60), (2, 120)] {
            let (permit, _) = try pass(&circuit, at: second)
            #expect(
                circuit.failed(permit, at: at(second), settings)
                    == transition(.halfOpen, .open, .testFailed, cycles: cycle))
        }
        let (permit, _) = try pass(&circuit, at: 180)
        #expect(
            circuit.failed(permit, at: at(180), settings)
                == transition(.halfOpen, .disabled, .cyclesExhausted, cycles: 3))
        #expect(circuit.admit(at: at(100_000), settings) == .disabled)
        #expect(circuit.succeeded(nil) == nil)
        #expect(circuit.name == .disabled)
    }

    @Test func withoutDisablingItTriesForEver() throws {
        var circuit = opened()
        var patient = settings
        patient.disablesItself = false
        for cycle in 1...20 {
            guard case .passes(let permit, _) = circuit.admit(at: at(60 * cycle), patient) else {
                Issue.record("cycle \(cycle) is refused")
                return
            }
            #expect(circuit.failed(permit, at: at(60 * cycle), patient)?.newState == .open)
        }
        #expect(circuit.failureCycles == 20)
    }

    @Test func outcomesOfAnEarlierPhaseChangeNothing() throws {
        var circuit = CircuitState()
        let (early, _) = try pass(&circuit, at: 0)
        let (other, _) = try pass(&circuit, at: 0)
        for _ in 0..<5 { _ = circuit.failed(nil, at: at(0), settings) }
        _ = try pass(&circuit, at: 60)
        #expect(circuit.failed(early, at: at(61), settings) == nil)
        #expect(circuit.succeeded(other) == nil)
        circuit.abandoned(early)
        #expect(circuit.name == .halfOpen)
        #expect(circuit.failureCycles == 0)
    }

    @Test func onlyTheFirstFailedTestOfAPhaseCounts() throws {
        var circuit = opened()
        let (first, _) = try pass(&circuit, at: 60)
        let (second, _) = try pass(&circuit, at: 60)
        #expect(circuit.failed(first, at: at(61), settings)?.failureCycles == 1)
        #expect(circuit.failed(second, at: at(61), settings) == nil)
        #expect(circuit.failureCycles == 1)
    }

    @Test func aHealthCheckThatSucceedsClosesAtOnce() {
        var circuit = opened()
        #expect(circuit.succeeded(nil) == transition(.open, .closed, .serverAnswered))
    }

    @Test func operatorsResetEnableAndDisable() {
        var circuit = opened()
        #expect(circuit.reset() == transition(.open, .closed, .reset))
        #expect(circuit.reset() == nil)
        #expect(circuit.disable() == transition(.closed, .disabled, .disabledByOperator))
        #expect(circuit.disable() == nil)
        #expect(
            circuit.enable(resettingCounters: true)
                == transition(.disabled, .closed, .enabledByOperator))
        #expect(circuit.enable(resettingCounters: true) == nil)
    }

    @Test func enabledWithItsCountersItIsOnProbation() throws {
        var circuit = opened()
        for second in [60, 120, 180] {
            let (permit, _) = try pass(&circuit, at: second)
            _ = circuit.failed(permit, at: at(second), settings)
        }
        #expect(circuit.enable(resettingCounters: false)?.newState == .open)
        let (permit, _) = try pass(&circuit, at: 181)
        #expect(circuit.failed(permit, at: at(181), settings)?.newState == .disabled)
    }

    @Test func switchedOffEverythingPasses() {
        var circuit = opened()
        let off = CircuitSettings(isEnabled: false)
        guard case .passes(let permit, nil) = circuit.admit(at: at(1), off) else {
            Issue.record("refused")
            return
        }
        #expect(circuit.failed(permit, at: at(1), off) == nil)
    }

    @Test func aRestartKeepsWhatMatters() throws {
        var circuit = CircuitState()
        for _ in 0..<3 { _ = circuit.failed(nil, at: at(0), settings) }
        var restored = CircuitState(circuit.record(at: at(9)), at: at(0), settings)
        #expect(restored.consecutiveFailures == 3)
        _ = restored.failed(nil, at: at(0), settings)
        #expect(restored.failed(nil, at: at(0), settings)?.newState == .open)

        let open = opened()
        let record = open.record(at: at(20))
        #expect(record.openRemaining == .seconds(40))
        restored = CircuitState(record, at: at(1_000), settings)
        #expect(restored.retryAfterSeconds(at: at(1_000)) == 40)

        circuit = open
        _ = try pass(&circuit, at: 60)
        restored = CircuitState(circuit.record(at: at(61)), at: at(0), settings)
        #expect(try pass(&restored, at: 0).1?.newState == .halfOpen)
    }

    @Test func recordsSurviveTheirJSON() throws {
        let records = [
            CircuitRecord(state: .closed, consecutiveFailures: 4, failureCycles: 2),
            CircuitRecord(
                state: .open, consecutiveFailures: 0, failureCycles: 1,
                openRemaining: .milliseconds(12_345)),
            CircuitRecord(state: .disabled, consecutiveFailures: 0, failureCycles: 3),
        ]
        for record in records {
            #expect(CircuitRecord(try JSONValue(parsing: record.json.text)) == record)
        }
        #expect(CircuitRecord(["circuit_state": "HALF_OPEN"])?.state == .halfOpen)
        #expect(CircuitRecord(["circuit_state": "ajar"]) == nil)
        #expect(CircuitRecord([:]) == nil)
    }

    @Test func nonsenseInARecordIsClamped() {
        let record = CircuitRecord(
            state: .closed, consecutiveFailures: 99, failureCycles: -1,
            openRemaining: .seconds(9_999))
        var circuit = CircuitState(record, at: at(0), settings)
        #expect(circuit.consecutiveFailures == 4)
        #expect(circuit.failureCycles == 0)
        circuit = CircuitState(
            CircuitRecord(
                state: .open, consecutiveFailures: 0, failureCycles: 0,
                openRemaining: .seconds(9_999)), at: at(0), settings)
        #expect(circuit.retryAfterSeconds(at: at(0)) == 60)
        circuit = CircuitState(
            CircuitRecord(state: .halfOpen, consecutiveFailures: .max, failureCycles: .max),
            at: at(0), settings)
        guard case .passes(let permit, _) = circuit.admit(at: at(0), settings) else {
            Issue.record("refused")
            return
        }
        #expect(circuit.failed(permit, at: at(0), settings)?.newState == .disabled)
    }

    /// Random events against what must hold after each of them.
    @Test(arguments: testSeeds) func theRulesHoldForAnyStory(_ seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var settings = CircuitSettings(
            failureThreshold: Int.random(in: 1...6, using: &random),
            openTimeout: .seconds(Int.random(in: 1...20, using: &random)),
            halfOpenCallsMax: Int.random(in: 1...4, using: &random),
            failureCyclesMax: Int.random(in: 1...4, using: &random))
        var circuit = CircuitState()
        var story = CircuitStory()
        for step in 0..<5_000 {
            let before = circuit
            let (now, change) = story.step(&circuit, settings, using: &random)
            let note: Comment = "seed \(seed), step \(step)"

            #expect((before.name != circuit.name) == (change != nil), note)
            if let change {
                #expect(change.oldState == before.name && change.newState == circuit.name, note)
                #expect(CircuitStory.mayFollow(change.oldState, change.newState), note)
                let isExhausted =
                    settings.disablesItself && change.failureCycles >= settings.failureCyclesMax
                if change.reason == .cyclesExhausted { #expect(isExhausted, note) }
                if change.reason == .testFailed { #expect(!isExhausted, note) }
            }
            switch circuit.phase {
            case .closed(let failures): #expect(failures < settings.failureThreshold, note)
            case .halfOpen(let underWay, _):
                #expect((0...settings.halfOpenCallsMax).contains(underWay), note)
            case .open(let until): #expect(until <= now + settings.openTimeout, note)
            case .disabled: break
            }
            if step % 500 == 0 { settings.disablesItself.toggle() }
            if step % 700 == 0 {
                let restored = CircuitState(circuit.record(at: now), at: now, settings)
                let expected = circuit.name == .halfOpen ? .open : circuit.name
                #expect(restored.name == expected, note)
                #expect(restored.failureCycles == circuit.failureCycles, note)
            }
        }
    }
}

/// One random event after another, with the permits that are still out.
private struct CircuitStory {
    var now = MonotonicTime.zero
    var permits: [CircuitPermit] = []
    var stale: [CircuitPermit] = []

    private mutating func forgetPermits() {
        stale = Array((stale + permits).suffix(20))
        permits = []
    }

    /// One event; a change of phase makes every permit that is out stale, but for the one just given.
    mutating func step(
        _ circuit: inout CircuitState, _ settings: CircuitSettings,
        using random: inout SplitMix64
    ) -> (MonotonicTime, CircuitTransition?) {
        let given = permits.count
        let (now, change) = event(&circuit, settings, using: &random)
        if change != nil {
            let fresh = permits.count > given ? permits.suffix(1) : []
            permits.removeLast(fresh.count)
            forgetPermits()
            permits += fresh
        }
        return (now, change)
    }

    private mutating func event(
        _ circuit: inout CircuitState, _ settings: CircuitSettings,
        using random: inout SplitMix64
    ) -> (MonotonicTime, CircuitTransition?) {
        now = now + .milliseconds(Int.random(in: 0...3_000, using: &random))
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<8:
            let before = circuit
            switch circuit.admit(at: now, settings) {
            case .passes(let permit, let change):
                permits.append(permit)
                return (now, change)
            case .refused(let seconds):
                #expect(seconds >= 1)
                #expect(before == circuit)
            case .disabled: #expect(circuit.name == .disabled)
            }
            return (now, nil)
        case 8..<13:
            guard let permit = take(using: &random) else { return (now, nil) }
            return (now, circuit.failed(permit, at: now, settings))
        case 13..<15:
            guard let permit = take(using: &random) else { return (now, nil) }
            return (now, circuit.succeeded(permit))
        case 15:
            guard let permit = take(using: &random) else { return (now, nil) }
            circuit.abandoned(permit)
            return (now, nil)
        case 16:
            guard let permit = stale.randomElement(using: &random) else { return (now, nil) }
            let before = circuit
            #expect(circuit.failed(permit, at: now, settings) == nil)
            #expect(circuit.succeeded(permit) == nil)
            circuit.abandoned(permit)
            #expect(before == circuit)
            return (now, nil)
        case 17: return (now, circuit.failed(nil, at: now, settings))
        case 18:
            return (now, Int.random(in: 0..<5, using: &random) == 0 ? circuit.succeeded(nil) : nil)
        default:
            switch Int.random(in: 0..<6, using: &random) {
            case 0: return (now, circuit.reset())
            case 1: return (now, circuit.enable(resettingCounters: Bool.random(using: &random)))
            default: return (now, nil)
            }
        }
    }

    private mutating func take(using random: inout SplitMix64) -> CircuitPermit? {
        guard !permits.isEmpty else { return nil }
        return permits.remove(at: Int.random(in: 0..<permits.count, using: &random))
    }

    static func mayFollow(_ old: CircuitState.Name, _ new: CircuitState.Name) -> Bool {
        switch (old, new) {
        case (.closed, .open), (.open, .halfOpen), (.open, .closed), (.halfOpen, .closed),
            (.halfOpen, .open), (.halfOpen, .disabled), (.disabled, .closed), (.disabled, .open):
            true
        default: false
        }
    }
}
