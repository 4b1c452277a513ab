import OmniCore

/// Records the gates that `Access` decided at, in the original's order: a call that came through all
/// of them goes on in the same flow, one that was stopped leaves a flow that ends there.
final class FlowGates {
    private let tracker: FlowTracker
    private let access: Access

    init(_ tracker: FlowTracker, _ access: Access) {
        self.tracker = tracker
        self.access = access
    }

    /// One call of a tool that may be made. Nil where nothing is recorded.
    func passed(
        _ principal: Principal, to tool: String, of server: String, from source: Flow.Source,
        requestID: String
    ) -> FlowCall? {
        guard let flow = tracker.begin(source, for: principal, requestID: requestID) else {
            return nil
        }
        flow.gate(.authCheck)
        flow.gate(.blockCheck)
        flow.gate(.usageCheck, usage(principal))
        flow.gate(.permissionCheck, [("mcp", .string(server))])
        flow.gate(.toolFilter, [("mcp", .string(server)), ("tool", .string(tool))])
        return flow.call(tool, of: server)
    }

    /// A request that ended at a gate; those before it were passed.
    func stopped(
        _ principal: Principal, at gate: CheckpointKind, because reason: String,
        from source: Flow.Source, requestID: String, server: String? = nil, tool: String? = nil
    ) {
        guard let flow = tracker.begin(source, for: principal, requestID: requestID) else { return }
        for kind in Self.order {
            var fields: [Checkpoint.Field] = kind == .usageCheck ? usage(principal) : []
            if kind == gate {
                fields.append(("error", .string(reason)))
                if let server { fields.append(("mcp", .string(server))) }
                if let tool { fields.append(("tool", .string(tool))) }
            }
            flow.gate(kind, passed: kind != gate, fields)
            if kind == gate { break }
        }
        flow.finish()
    }

    /// Somebody may not use a service at all: blocked, not granted, over a limit.
    func stopped(
        _ principal: Principal, by refusal: Access.Refusal, from source: Flow.Source,
        requestID: String
    ) {
        let gate: CheckpointKind =
            switch refusal {
            case .blocked: .blockCheck
            case .notGranted, .insufficientScope: .permissionCheck
            case .tooManyRequests, .costExceeded: .usageCheck
            }
        stopped(
            principal, at: gate, because: refusal.message, from: source, requestID: requestID)
    }

    private static let order: [CheckpointKind] = [
        .authCheck, .blockCheck, .usageCheck, .permissionCheck, .toolFilter,
    ]

    func usage(_ principal: Principal) -> [Checkpoint.Field] {
        let usage = access.usage(of: principal)
        return [
            ("remaining", usage.costRemaining.map { .double($0) } ?? .null),
            ("cost_used", .double(usage.costUsed)),
        ]
    }
}
