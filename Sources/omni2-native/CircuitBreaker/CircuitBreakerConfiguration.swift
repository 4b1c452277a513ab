import OmniCore

/// The six settings an operator sees and changes at `/api/v1/circuit-breaker/config`, kept in
/// `omni2_config` under `circuit_breaker`. What is absent there comes from the configuration file.
struct CircuitBreakerConfiguration: Sendable, Equatable {
    static let key = "circuit_breaker"

    var isEnabled = true
    /// Transport failures in a row that open a circuit, 1…1000.
    var failureThreshold = 5
    /// How long an open circuit refuses calls, above 0 and up to a day.
    var openTimeout: Duration = .seconds(60)
    /// Test calls at a time while half open, 1…1000.
    var halfOpenCallsMax = 3
    /// Half-open cycles that fail in a row before the server is disabled, 1…1000.
    var failureCyclesMax = 3
    var autoDisables = true

    /// What is wrong with a member: text for the caller.
    struct Rejection: Error, Sendable, Equatable {
        var member: String
        var reason: String
    }
}

extension CircuitBreakerConfiguration {
    init(_ section: Configuration.CircuitBreaker) {
        isEnabled = section.isEnabled
        failureThreshold = section.failureThreshold
        openTimeout = section.openTime
        halfOpenCallsMax = section.halfOpenCallsMax
        failureCyclesMax = section.failureCyclesMax
        autoDisables = section.autoDisables
    }

    /// A server's own `max_failure_cycles` counts when an operator changed it from the column's
    /// default; 0 means that this server is never disabled.
    func circuitSettings(ofServer failureCyclesMax: Int) -> CircuitSettings {
        let isOwn = failureCyclesMax != Self.columnDefault
        return CircuitSettings(
            isEnabled: isEnabled, failureThreshold: failureThreshold, openTimeout: openTimeout,
            halfOpenCallsMax: halfOpenCallsMax,
            failureCyclesMax: isOwn ? failureCyclesMax : self.failureCyclesMax,
            disablesItself: autoDisables && !(isOwn && failureCyclesMax <= 0))
    }

    private static let columnDefault = 3

    // MARK: JSON

    var json: JSONValue {
        [
            "enabled": .bool(isEnabled),
            "failure_threshold": JSONValue(failureThreshold),
            "timeout_seconds": Self.seconds(openTimeout),
            "half_open_max_calls": JSONValue(halfOpenCallsMax),
            "max_failure_cycles": JSONValue(failureCyclesMax),
            "auto_disable_enabled": .bool(autoDisables),
        ]
    }

    /// This one with the members of `json` in their place. Unknown members are left alone, as the
    /// original did; a known one with a bad value is a `Rejection`.
    func applying(_ json: JSONValue) throws(Rejection) -> CircuitBreakerConfiguration {
        guard let members = json.object else {
            throw Rejection(member: "", reason: "an object is expected")
        }
        var changed = self
        if let value = members["enabled"] {
            changed.isEnabled = try Self.flag(value, "enabled")
        }
        if let value = members["failure_threshold"] {
            changed.failureThreshold = try Self.count(value, "failure_threshold")
        }
        if let value = members["timeout_seconds"] {
            changed.openTimeout = try Self.span(value, "timeout_seconds")
        }
        if let value = members["half_open_max_calls"] {
            changed.halfOpenCallsMax = try Self.count(value, "half_open_max_calls")
        }
        if let value = members["max_failure_cycles"] {
            changed.failureCyclesMax = try Self.count(value, "max_failure_cycles")
        }
        if let value = members["auto_disable_enabled"] {
            changed.autoDisables = try Self.flag(value, "auto_disable_enabled")
        }
        return changed
    }

    private static func flag(_ value: JSONValue, _ member: String) throws(Rejection) -> Bool {
        guard let flag = value.bool else {
            throw Rejection(member: member, reason: "true or false is expected")
        }
        return flag
    }

    private static func count(_ value: JSONValue, _ member: String) throws(Rejection) -> Int {
        guard let count = value.int, (1...1000).contains(count) else {
            throw Rejection(member: member, reason: "a whole number from 1 to 1000 is expected")
        }
        return Int(count)
    }

    private static func span(_ value: JSONValue, _ member: String) throws(Rejection) -> Duration {
        guard let seconds = value.double, seconds > 0, seconds <= 86_400 else {
            throw Rejection(
                member: member, reason: "seconds above 0 and up to 86400 are expected")
        }
        return .milliseconds(max(1, Int64(seconds * 1000)))
    }

    private static func seconds(_ duration: Duration) -> JSONValue {
        let milliseconds = duration.milliseconds
        return milliseconds % 1000 == 0
            ? .int(milliseconds / 1000) : .double(Double(milliseconds) / 1000)
    }
}
