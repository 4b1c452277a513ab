import OmniCore
import OmniIO

/// Keeps sick servers from being called: one `CircuitState` per registered server.
///
/// The gateway asks `admit` before each call and reports the outcome with the pass it was given; the
/// coordinator does the same for its checks and attempts. The rules are `CircuitState`'s. Here each
/// transition is counted, said in the journal and told to `changed`, exactly once and before the
/// call that caused it returns.
final class CircuitBreaker {
    /// Goes with one call; must come back by `succeeded`, `failed` or `abandoned`.
    struct Pass: Sendable, Hashable {
        let server: Int
        /// Calls outlive a server's session: under a new one they no longer count.
        fileprivate let incarnation: UInt64
        fileprivate let permit: CircuitPermit
    }

    enum Admission: Sendable, Equatable {
        case admitted(Pass)
        /// Seconds until it is worth trying again; nil when only an operator can change it.
        case refused(retryAfterSeconds: Int?, state: CircuitState.Name)
    }

    struct Change: Sendable, Equatable {
        var server: Int
        var name: String
        var transition: CircuitTransition
        /// Failures in a row that opened the circuit.
        var failures: Int
        var threshold: Int
    }

    /// For telemetry.
    struct Counts: Sendable, Equatable {
        var opened: UInt64 = 0
        var halfOpened: UInt64 = 0
        var closed: UInt64 = 0
        var disabled: UInt64 = 0
        var refusals: UInt64 = 0
    }

    private struct Circuit {
        var name: String
        var incarnation: UInt64
        var state: CircuitState
        var failureCyclesMax: Int
        var timesOpened: UInt64 = 0
    }

    private(set) var configuration: CircuitBreakerConfiguration
    private(set) var counts = Counts()
    /// Set once, by the coordinator.
    var changed: (Change) -> Void = { _ in }

    private let now: () -> MonotonicTime
    private let log: Log
    private var circuits: [Int: Circuit] = [:]
    private var incarnations: UInt64 = 0

    init(
        log: Log, configuration: CircuitBreakerConfiguration, now: @escaping () -> MonotonicTime
    ) {
        self.now = now
        self.log = log
        self.configuration = configuration
    }

    // MARK: Calls

    /// A server that is not registered is refused.
    func admit(_ server: Int) -> Admission {
        guard var circuit = circuits[server] else {
            return .refused(retryAfterSeconds: nil, state: .closed)
        }
        let settings = settings(of: circuit)
        switch circuit.state.admit(at: now(), settings) {
        case .passes(let permit, let transition):
            circuits[server] = circuit
            if let transition { announce(transition, of: server) }
            return .admitted(
                Pass(server: server, incarnation: circuit.incarnation, permit: permit))
        case .refused(let seconds):
            counts.refusals += 1
            return .refused(retryAfterSeconds: seconds, state: circuit.state.name)
        case .disabled:
            counts.refusals += 1
            return .refused(retryAfterSeconds: nil, state: circuit.state.name)
        }
    }

    /// The server answered, whatever it said.
    func succeeded(_ pass: Pass) {
        guard isCurrent(pass),
            let transition = circuits[pass.server]?.state.succeeded(pass.permit)
        else { return }
        announce(transition, of: pass.server)
    }

    /// The transport failed.
    func failed(_ pass: Pass) {
        guard isCurrent(pass), let circuit = circuits[pass.server] else { return }
        let failures = circuit.state.consecutiveFailures + 1
        let transition = circuits[pass.server]?.state.failed(
            pass.permit, at: now(), settings(of: circuit))
        if let transition { announce(transition, of: pass.server, failures: failures) }
    }

    /// The call ended without telling anything about the server: its caller gave up.
    func abandoned(_ pass: Pass) {
        if isCurrent(pass) { circuits[pass.server]?.state.abandoned(pass.permit) }
    }

    /// False when the server was loaded anew, or removed, since the pass was given.
    func isCurrent(_ pass: Pass) -> Bool {
        circuits[pass.server]?.incarnation == pass.incarnation
    }

    // MARK: How circuits are

    /// `closed` for a server that is not registered.
    func state(of server: Int) -> CircuitState.Name { circuits[server]?.state.name ?? .closed }

    func isOpen(_ server: Int) -> Bool {
        switch state(of: server) {
        case .open, .disabled: true
        case .closed, .halfOpen: false
        }
    }

    func timesOpened(_ server: Int) -> UInt64 { circuits[server]?.timesOpened ?? 0 }

    func failureCycles(of server: Int) -> Int { circuits[server]?.state.failureCycles ?? 0 }

    func failureCyclesMax(of server: Int) -> Int {
        guard let circuit = circuits[server] else { return configuration.failureCyclesMax }
        return settings(of: circuit).failureCyclesMax
    }

    /// When an open circuit lets a test pass.
    func openUntil(_ server: Int) -> MonotonicTime? {
        guard case .open(let until)? = circuits[server]?.state.phase else { return nil }
        return until
    }

    func retryAfterSeconds(of server: Int) -> Int? {
        circuits[server]?.state.retryAfterSeconds(at: now())
    }

    /// Circuits that are not closed.
    var openCount: Int { circuits.values.count { $0.state.name != .closed } }

    // MARK: Registry

    /// A server is registered; its circuit goes on where `record` left it.
    func add(_ server: Int, named name: String, failureCyclesMax: Int, from record: CircuitRecord) {
        incarnations += 1
        var circuit = Circuit(
            name: name, incarnation: incarnations, state: CircuitState(),
            failureCyclesMax: failureCyclesMax)
        circuit.state = CircuitState(record, at: now(), settings(of: circuit))
        circuits[server] = circuit
    }

    func adjust(_ server: Int, failureCyclesMax: Int) {
        circuits[server]?.failureCyclesMax = failureCyclesMax
    }

    /// Another configuration: its circuit closes, and calls under way no longer count.
    func renew(_ server: Int, named name: String, failureCyclesMax: Int) {
        reset(server)
        incarnations += 1
        circuits[server]?.incarnation = incarnations
        circuits[server]?.name = name
        circuits[server]?.failureCyclesMax = failureCyclesMax
    }

    func remove(_ server: Int) { circuits[server] = nil }

    // MARK: Operators

    /// Closed, and every counter forgotten.
    func reset(_ server: Int) {
        guard let transition = circuits[server]?.state.reset() else { return }
        announce(transition, of: server)
    }

    /// Applies to every circuit at once. Switched off, all circuits close.
    func configure(_ configuration: CircuitBreakerConfiguration) {
        guard configuration != self.configuration else { return }
        self.configuration = configuration
        log.notice("circuit breaker configured", fields: configuration.logFields)
        if !configuration.isEnabled { for server in circuits.keys.sorted() { reset(server) } }
    }

    // MARK: Announcing

    private func settings(of circuit: Circuit) -> CircuitSettings {
        configuration.circuitSettings(ofServer: circuit.failureCyclesMax)
    }

    private func announce(
        _ transition: CircuitTransition, of server: Int, failures: Int = 0
    ) {
        guard let circuit = circuits[server] else { return }
        let change = Change(
            server: server, name: circuit.name, transition: transition, failures: failures,
            threshold: configuration.failureThreshold)
        count(transition.newState)
        if transition.newState == .open { circuits[server]?.timesOpened += 1 }
        say(change)
        changed(change)
    }

    private func count(_ state: CircuitState.Name) {
        switch state {
        case .open: counts.opened += 1
        case .halfOpen: counts.halfOpened += 1
        case .closed: counts.closed += 1
        case .disabled: counts.disabled += 1
        }
    }

    private func say(_ change: Change) {
        let log = log.with(["mcp": change.name])
        let reason = "\(change.transition.reason.sentence)"
        switch change.transition.newState {
        case .open where change.transition.oldState == .closed:
            log.warning(
                "circuit opened: \(reason)", id: .circuitOpened,
                fields: ["failures": change.failures, "threshold": change.threshold])
        case .open, .disabled:
            log.warning(
                "circuit opened again: \(reason)", id: .circuitOpened,
                fields: ["failure_cycles": change.transition.failureCycles])
        case .halfOpen: log.info("circuit half open: \(reason)", id: .circuitHalfOpen)
        case .closed: log.notice("circuit closed: \(reason)", id: .circuitClosed)
        }
    }
}

extension CircuitBreakerConfiguration {
    fileprivate var logFields: LogFields {
        [
            "enabled": isEnabled, "failure_threshold": failureThreshold,
            "timeout": openTimeout, "half_open_max_calls": halfOpenCallsMax,
            "max_failure_cycles": failureCyclesMax, "auto_disable": autoDisables,
        ]
    }
}

extension CircuitState.Name {
    /// The word in rows and events, which know three states: a server that was disabled is one
    /// whose circuit stays open.
    var word: String { self == .disabled ? Self.open.rawValue : rawValue }
}
