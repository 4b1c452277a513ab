/// The numbers of `[CircuitBreaker]`; they may change while circuits are in any phase.
public struct CircuitSettings: Hashable, Sendable {
    /// Off: every call passes and nothing is counted.
    public var isEnabled: Bool
    /// Failures in a row, at least 1.
    public var failureThreshold: Int
    public var openTimeout: Duration
    /// Calls at the same time while half-open, at least 1; further ones are refused.
    public var halfOpenCallsMax: Int
    /// Half-open phases that may fail in a row, at least 1; then the server is disabled.
    public var failureCyclesMax: Int
    /// Off: a server is tried again for ever.
    public var disablesItself: Bool

    public init(
        isEnabled: Bool = true, failureThreshold: Int = 5, openTimeout: Duration = .seconds(60),
        halfOpenCallsMax: Int = 3, failureCyclesMax: Int = 3, disablesItself: Bool = true
    ) {
        self.isEnabled = isEnabled
        self.failureThreshold = max(1, failureThreshold)
        self.openTimeout = max(.zero, openTimeout)
        self.halfOpenCallsMax = max(1, halfOpenCallsMax)
        self.failureCyclesMax = max(1, failureCyclesMax)
        self.disablesItself = disablesItself
    }
}

/// Goes with one call and comes back with its outcome.
public struct CircuitPermit: Hashable, Sendable {
    let generation: UInt64
    let isTest: Bool
}

public enum CircuitAdmission: Hashable, Sendable {
    /// Make the call and report its outcome with this permit. The transition, if any, is announced.
    case passes(CircuitPermit, CircuitTransition?)
    case refused(retryAfterSeconds: Int)
    /// Refused until an operator enables the server.
    case disabled
}

/// A change of phase, as it is announced, logged and counted.
public struct CircuitTransition: Hashable, Sendable {
    public enum Reason: UInt8, Hashable, Sendable {
        case thresholdReached, timeoutPassed, testFailed, serverAnswered, cyclesExhausted
        case reset, enabledByOperator, disabledByOperator

        public var sentence: StaticString {
            switch self {
            case .thresholdReached: "too many failures in a row"
            case .timeoutPassed: "rest is over, testing the server"
            case .testFailed: "the test call failed"
            case .serverAnswered: "the server answered"
            case .cyclesExhausted: "too many failed tests in a row"
            case .reset: "reset by an operator"
            case .enabledByOperator: "enabled by an operator"
            case .disabledByOperator: "disabled by an operator"
            }
        }
    }

    public var oldState: CircuitState.Name
    public var newState: CircuitState.Name
    public var reason: Reason
    public var failureCycles: Int

    public init(
        oldState: CircuitState.Name, newState: CircuitState.Name, reason: Reason,
        failureCycles: Int
    ) {
        self.oldState = oldState
        self.newState = newState
        self.reason = reason
        self.failureCycles = failureCycles
    }
}

/// A circuit at rest: the columns `circuit_state`, `consecutive_failures`, `failure_cycle_count`,
/// and what an open one had still to wait.
public struct CircuitRecord: Hashable, Sendable {
    public var state: CircuitState.Name
    public var consecutiveFailures: Int
    public var failureCycles: Int
    /// nil: not open, or not known (then the whole timeout is waited).
    public var openRemaining: Duration?

    public init(
        state: CircuitState.Name, consecutiveFailures: Int, failureCycles: Int,
        openRemaining: Duration? = nil
    ) {
        self.state = state
        self.consecutiveFailures = consecutiveFailures
        self.failureCycles = failureCycles
        self.openRemaining = openRemaining
    }

    /// For the hand-over to a successor and for stores without the columns.
    public var json: JSONValue {
        var object: JSONValue = [
            "circuit_state": .string(state.rawValue),
            "consecutive_failures": JSONValue(consecutiveFailures),
            "failure_cycle_count": JSONValue(failureCycles),
        ]
        if let openRemaining { object["open_remaining_ms"] = .int(openRemaining.milliseconds) }
        return object
    }

    /// nil when the state is missing or not one of ours (the states compare without case).
    public init?(_ json: JSONValue) {
        guard let text = json["circuit_state"]?.string?.lowercased(),
            let state = CircuitState.Name(rawValue: text)
        else { return nil }
        self.init(
            state: state,
            consecutiveFailures: Int(clamping: json["consecutive_failures"]?.int ?? 0),
            failureCycles: Int(clamping: json["failure_cycle_count"]?.int ?? 0),
            openRemaining: json["open_remaining_ms"]?.int.map { .milliseconds($0) })
    }
}
