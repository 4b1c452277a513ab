/// What filters ask of an event, beside its frame in the log: a daemon's successor judges older
/// events by it. A field that is missing here would let an event through that it should hold back.
extension EventFacts {
    public func write(to state: inout StateWriter) {
        state.put(type)
        switch audience {
        case .subscribers: state.put(UInt8(0))
        case .everyone: state.put(UInt8(1))
        case .flow(let user):
            state.put(UInt8(2))
            state.put(UInt64(bitPattern: user))
        }
        // One after the other: this is written for every event, and allocates nothing.
        state.put(mcpName)
        state.put(severity)
        state.put(oldStatus)
        state.put(newStatus)
        state.put(self.state)
        state.put(healthStatus)
        state.put(userRole)
        state.put(actionType)
        state.put(tool)
        state.put(isAboutPeople)
        state.put(failureCycles) { $0.put(UInt64(bitPattern: Int64($1))) }
    }

    public init(from state: inout StateReader) throws(StateError) {
        let type = try state.string()
        let audience: Audience
        switch try state.byte() {
        case 0: audience = .subscribers
        case 1: audience = .everyone
        case 2: audience = .flow(user: Int64(bitPattern: try state.long()))
        default: throw .invalid
        }
        let mcpName = try state.text()
        let severity = try state.text()
        let oldStatus = try state.text()
        let newStatus = try state.text()
        let stateText = try state.text()
        let healthStatus = try state.text()
        let userRole = try state.text()
        let actionType = try state.text()
        let tool = try state.text()
        let isAboutPeople = try state.bool()
        let cycles = try state.optional { one throws(StateError) in try one.long() }
        self.init(
            type: type, audience: audience, mcpName: mcpName, severity: severity,
            oldStatus: oldStatus, newStatus: newStatus, state: stateText,
            healthStatus: healthStatus,
            failureCycles: cycles.map { Int(truncatingIfNeeded: $0) }, userRole: userRole,
            actionType: actionType, tool: tool, isAboutPeople: isAboutPeople)
    }
}

extension EventFilter {
    /// The filter in the words of a subscribe message: `EventFilter(filter.json) == filter`.
    public var json: JSONValue {
        var members: [(String, JSONValue)] = []
        for (name, values) in [
            ("mcp_names", mcpNames), ("severity", severities), ("state", states),
            ("health_status", healthStatuses), ("user_roles", userRoles),
            ("action_type", actionTypes),
        ] where !values.isEmpty {
            members.append((name, JSONValue(values)))
        }
        if let oldStatus { members.append(("old_status", .string(oldStatus))) }
        if let newStatus { members.append(("new_status", .string(newStatus))) }
        if let failureCyclesMin {
            members.append(("failure_cycles", .int(Int64(failureCyclesMin))))
        }
        return .object(JSONObject(members))
    }
}
