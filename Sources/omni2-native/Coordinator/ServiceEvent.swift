import OmniCore

/// Something a service tells the dashboards: what filters may ask of it, and its JSON.
///
/// The hub writes `{"type":…,"timestamp":…,` before `members` and `}` after it, and adds nothing else.
struct ServiceEvent: Sendable {
    let type: String
    let facts: EventFacts
    /// The members after the timestamp, without braces: `"data":{"mcp_name":"db",…}`.
    let members: [UInt8]

    /// An event of the catalogue: everything is inside `data`.
    init(_ type: String, data: JSONValue) {
        self.init(type, data: data, members: ["data": data])
    }

    /// `data` is what filters look at.
    init(
        _ type: String, to audience: EventFacts.Audience = .subscribers, data: JSONValue,
        members: JSONValue
    ) {
        self.init(
            type, facts: EventFacts(type: type, audience: audience, data: data),
            members: Array(members.bytes.dropFirst().dropLast()))
    }

    init(_ type: String, facts: EventFacts, members: [UInt8]) {
        self.type = type
        self.facts = facts
        self.members = members
    }
}

extension ServiceEvent {
    /// The keys beyond those every status change has.
    enum StatusDetail: Sendable {
        case none
        case registered(url: String, transport: String)
        case healthy(ServerCheck?, url: String, transport: String)
        case failing(errorCount: Int)

        fileprivate func add(to data: inout JSONValue) {
            switch self {
            case .none: break
            case .registered(let url, let transport):
                data["url"] = .string(url)
                data["protocol"] = .string(transport)
            case .healthy(let check, let url, let transport):
                data["tool_count"] = check.map { JSONValue($0.toolCount) }
                data["response_time_ms"] = check.map { .int($0.responseTime.milliseconds) }
                data["url"] = .string(url)
                data["protocol"] = .string(transport)
            case .failing(let errorCount): data["error_count"] = JSONValue(errorCount)
            }
        }
    }

    /// `old` and `new` are status words, or `not_loaded` for a server that is not in memory.
    static func statusChange(
        of server: String, from old: String, to new: String, reason: String,
        severity: EventSeverity, _ detail: StatusDetail = .none
    ) -> ServiceEvent {
        var data: JSONValue = [
            "mcp_name": .string(server), "old_status": .string(old), "new_status": .string(new),
            "reason": .string(reason), "severity": .string(severity.rawValue),
        ]
        detail.add(to: &data)
        return ServiceEvent("mcp_status_change", data: data)
    }

    /// What a check found, good or bad. The original announced this type and never sent it.
    static func healthCheck(
        of server: String, status: String, _ check: ServerCheck?, reason: String? = nil
    ) -> ServiceEvent {
        let severity: EventSeverity = check == nil ? .high : .info
        return ServiceEvent(
            "mcp_health_check",
            data: [
                "mcp_name": .string(server), "health_status": .string(status),
                "response_time_ms": check.map {
                    .double(($0.responseTime / .microseconds(10)).rounded() / 100)
                } ?? .null,
                "tool_count": check.map { JSONValue($0.toolCount) } ?? .null,
                "reason": JSONValue(reason), "severity": .string(severity.rawValue),
            ])
    }

    static func circuitState(_ change: CircuitBreaker.Change) -> ServiceEvent {
        let transition = change.transition
        let severity: EventSeverity =
            switch transition.newState {
            case .open, .disabled: .high
            case .closed, .halfOpen: .info
            }
        var data: JSONValue = [
            "mcp_name": .string(change.name),
            "old_state": .string(transition.oldState.word),
            "new_state": .string(transition.newState.word),
            "state": .string(transition.newState.word),
            "severity": .string(severity.rawValue),
            "message": .string("\(transition.reason.sentence)"),
        ]
        if transition.oldState == .closed {
            data["failure_count"] = JSONValue(change.failures)
            data["threshold"] = JSONValue(change.threshold)
        } else {
            data["failure_cycles"] = JSONValue(transition.failureCycles)
        }
        return ServiceEvent("circuit_breaker_state", data: data)
    }

    static func circuitOpened(_ server: String, threshold: Int) -> ServiceEvent {
        let data: JSONValue = ["threshold": JSONValue(threshold)]
        return ServiceEvent(
            "health_event", to: .everyone, data: ["mcp_name": .string(server)],
            members: [
                "mcp_name": .string(server), "event_type": "circuit_opened", "data": data,
            ])
    }

    static func login(_ person: Person) -> ServiceEvent {
        ServiceEvent(
            "user_login",
            data: [
                "user_id": JSONValue(person.id), "username": .string(person.user.username),
                "user_role": JSONValue(person.user.role),
                "severity": .string(EventSeverity.info.rawValue),
            ])
    }

    static func cacheStatistics(_ statistics: Cache.Statistics) -> ServiceEvent {
        var data = statistics.json
        data["severity"] = .string(EventSeverity.info.rawValue)
        return ServiceEvent("cache_stats", data: data)
    }

    /// Without a tool all of the server's entries, without a server all there were.
    static func cacheInvalidated(
        server: String?, tool: String?, entries: Int, reason: String
    ) -> ServiceEvent {
        ServiceEvent(
            "cache_invalidated",
            data: [
                "mcp_name": JSONValue(server), "tool": JSONValue(tool),
                "entries": JSONValue(entries), "reason": .string(reason),
                "severity": .string(EventSeverity.info.rawValue),
            ])
    }

    /// `timestamp` in the same form as the event's own.
    static func autoDisabled(
        _ server: String, reason: String, failureCycles: Int, timestamp: String
    ) -> ServiceEvent {
        ServiceEvent(
            "mcp_auto_disabled",
            data: [
                "mcp_name": .string(server), "reason": .string(reason),
                "failure_cycles": JSONValue(failureCycles),
                "severity": .string(EventSeverity.critical.rawValue),
                "timestamp": .string(timestamp),
            ])
    }

    static func systemMetrics(
        _ statistics: Coordinator.Statistics, _ host: HostMetrics.Sample
    ) -> ServiceEvent {
        var metrics = host.json
        metrics["active_mcps"] = JSONValue(statistics.activeServers)
        metrics["recovery_queue"] = JSONValue(statistics.recoveryQueue)
        metrics["circuit_open_count"] = JSONValue(statistics.circuitsOpen)
        return ServiceEvent(
            "system_metrics", to: .everyone, data: [:], members: ["metrics": metrics])
    }

    static func systemHealth(
        _ statistics: Coordinator.Statistics, _ host: HostMetrics.Sample
    ) -> ServiceEvent {
        var data = host.json
        data["active_mcps"] = JSONValue(statistics.activeServers)
        data["severity"] = .string(EventSeverity.info.rawValue)
        return ServiceEvent("system_health", data: data)
    }
}
