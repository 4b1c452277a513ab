/// When calls to a server are let through, decided from nothing but outcomes and the time.
///
/// One value per server. Each event has one method, and a method that changes the phase returns the
/// `CircuitTransition` to announce; nothing is announced twice. Only transport failures come here:
/// a tool that answers `isError` is a working server.
///
///     closed ──threshold failures in a row──► open ──timeout, next call──► half-open
///       ▲                                      ▲                              │ │
///       └──────────────── success ─────────────┼──────────────────────────────┘ │
///                                              └───────── failure ──────────────┘
///     half-open ──failure, failureCyclesMax-th in a row──► disabled ──operator──► closed
///
/// Calls outlive phases: one that was let through before the circuit opened may come back when it is
/// half-open. Each call therefore carries the permit it was given, and an outcome under a permit of
/// an earlier phase changes nothing. The sole exception is a success without a permit (a health
/// check, which speaks about now).
public struct CircuitState: Hashable, Sendable {
    public enum Phase: Hashable, Sendable {
        /// Calls pass. → `open` when `failures` in a row reach the threshold.
        case closed(failures: Int)
        /// Calls are refused. → `halfOpen` with the first call at or after `until`.
        case open(until: MonotonicTime)
        /// At most `halfOpenCallsMax` calls are under way, as a test. At `renewAt` their places are
        /// free again whatever became of them, so that no lost outcome locks the circuit for ever.
        /// → `closed`, `open`, `disabled`
        case halfOpen(underWay: Int, renewAt: MonotonicTime)
        /// Too many cycles without one success. → `closed`, by an operator only
        case disabled
    }

    public enum Name: String, Hashable, Sendable, CaseIterable {
        case closed
        case open
        case halfOpen = "half_open"
        case disabled
    }

    public private(set) var phase = Phase.closed(failures: 0)
    /// Half-open phases that failed since the last success.
    public private(set) var failureCycles = 0
    /// Counts phase changes; permits of another generation are stale.
    private var generation: UInt64 = 0

    public init() {}

    public var name: Name {
        switch phase {
        case .closed: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        case .disabled: .disabled
        }
    }

    /// Failures in a row while closed; the threshold's worth of them otherwise means nothing.
    public var consecutiveFailures: Int {
        if case .closed(let failures) = phase { failures } else { 0 }
    }

    /// Whole seconds until a call may pass, rounded up; nil when one may pass now or never will.
    public func retryAfterSeconds(at now: MonotonicTime) -> Int? {
        guard case .open(let until) = phase, until > now else { return nil }
        let remaining = (until - now).nanosecondsClamped
        return Int((remaining - 1) / 1_000_000_000) + 1
    }

    // MARK: Calls

    /// A call wants to go to the server.
    public mutating func admit(
        at now: MonotonicTime, _ settings: CircuitSettings
    ) -> CircuitAdmission {
        guard settings.isEnabled else { return .passes(permit(isTest: false), nil) }
        switch phase {
        case .closed: return .passes(permit(isTest: false), nil)
        case .disabled: return .disabled
        case .open(let until):
            if now < until { return .refused(retryAfterSeconds: retryAfterSeconds(at: now) ?? 1) }
            let transition = enter(
                .halfOpen(underWay: 1, renewAt: now + settings.openTimeout), .timeoutPassed)
            return .passes(permit(isTest: true), transition)
        case .halfOpen(let underWay, let renewAt):
            if underWay >= settings.halfOpenCallsMax {
                guard now >= renewAt else { return .refused(retryAfterSeconds: 1) }
                phase = .halfOpen(underWay: 1, renewAt: now + settings.openTimeout)
            } else {
                phase = .halfOpen(underWay: underWay + 1, renewAt: renewAt)
            }
            return .passes(permit(isTest: true), nil)
        }
    }

    /// The server answered (whatever it said). Without a permit: a health check succeeded.
    public mutating func succeeded(_ permit: CircuitPermit?) -> CircuitTransition? {
        if let permit, permit.generation != generation { return nil }
        switch phase {
        case .disabled: return nil
        case .closed:
            phase = .closed(failures: 0)
            failureCycles = 0
            return nil
        case .open, .halfOpen:
            failureCycles = 0
            return enter(.closed(failures: 0), .serverAnswered)
        }
    }

    /// The transport failed. Without a permit: a health check failed.
    public mutating func failed(
        _ permit: CircuitPermit?, at now: MonotonicTime, _ settings: CircuitSettings
    ) -> CircuitTransition? {
        guard settings.isEnabled else { return nil }
        if let permit, permit.generation != generation { return nil }
        switch phase {
        case .open, .disabled: return nil
        case .closed(let failures):
            guard failures + 1 >= settings.failureThreshold else {
                phase = .closed(failures: failures + 1)
                return nil
            }
            return enter(.open(until: now + settings.openTimeout), .thresholdReached)
        case .halfOpen:
            failureCycles += 1
            if settings.disablesItself, failureCycles >= settings.failureCyclesMax {
                return enter(.disabled, .cyclesExhausted)
            }
            return enter(.open(until: now + settings.openTimeout), .testFailed)
        }
    }

    /// The call ended without telling anything about the server (cancelled by its caller): its place
    /// among the test calls is free again.
    public mutating func abandoned(_ permit: CircuitPermit) {
        guard permit.generation == generation, permit.isTest,
            case .halfOpen(let underWay, let renewAt) = phase, underWay > 0
        else { return }
        phase = .halfOpen(underWay: underWay - 1, renewAt: renewAt)
    }

    // MARK: Operators

    /// Closed, and every counter forgotten.
    public mutating func reset() -> CircuitTransition? {
        failureCycles = 0
        if case .closed = phase {
            phase = .closed(failures: 0)
            return nil
        }
        return enter(.closed(failures: 0), .reset)
    }

    /// Back from `disabled`. With its counters kept, the first failed test disables it again.
    public mutating func enable(resettingCounters: Bool) -> CircuitTransition? {
        if resettingCounters { failureCycles = 0 }
        guard phase == .disabled else { return nil }
        return enter(
            resettingCounters ? .closed(failures: 0) : .open(until: .zero), .enabledByOperator)
    }

    /// Out of service by an operator's word.
    public mutating func disable() -> CircuitTransition? {
        guard phase != .disabled else { return nil }
        return enter(.disabled, .disabledByOperator)
    }

    // MARK: Restart

    /// What survives a restart. Monotonic time does not, so an open circuit keeps what remains.
    public func record(at now: MonotonicTime) -> CircuitRecord {
        var record = CircuitRecord(
            state: name, consecutiveFailures: consecutiveFailures, failureCycles: failureCycles,
            openRemaining: nil)
        if case .open(let until) = phase {
            record.openRemaining = until > now ? until - now : .zero
        }
        return record
    }

    /// A circuit that was half-open is open and due: the calls that tested it are gone.
    public init(_ record: CircuitRecord, at now: MonotonicTime, _ settings: CircuitSettings) {
        // Bounded, because it goes on counting from whatever the database says.
        failureCycles = min(max(0, record.failureCycles), 1_000_000)
        switch record.state {
        case .closed:
            let failures = min(max(0, record.consecutiveFailures), settings.failureThreshold - 1)
            phase = .closed(failures: failures)
        case .open:
            let remaining = record.openRemaining ?? settings.openTimeout
            phase = .open(until: now + min(max(remaining, .zero), settings.openTimeout))
        case .halfOpen: phase = .open(until: now)
        case .disabled: phase = .disabled
        }
    }

    private func permit(isTest: Bool) -> CircuitPermit {
        CircuitPermit(generation: generation, isTest: isTest)
    }

    private mutating func enter(
        _ next: Phase, _ reason: CircuitTransition.Reason
    ) -> CircuitTransition {
        let old = name
        phase = next
        generation &+= 1
        return CircuitTransition(
            oldState: old, newState: name, reason: reason, failureCycles: failureCycles)
    }
}
