import OmniCore

/// The checks that stand before every call and every question, in the original's order. Each of them
/// is noted in the request's flow, passed or failed; a flow that ends at a gate is saved as well.
final class Gates {
    enum Service: String, Sendable { case chat, mcp }

    /// What a user has spent today, and may.
    struct Usage: Sendable, Equatable {
        var cost: Double = 0
        /// Dollars per day; nil: as many as one likes.
        var limit: Double?
        var tokens = 0

        var remaining: Double? { limit.map { max(0, $0 - cost) } }
        var isExceeded: Bool { limit.map { cost >= $0 } ?? false }
    }

    /// Why somebody does not get further, as they are told.
    struct Refusal {
        let status: HTTPStatus
        let message: String
    }

    struct Admission {
        var flow: FlowCall?
        var refusal: Refusal?
    }

    private let tracker: FlowTracker
    /// What a blocked user is told; nil for everybody else.
    var blockMessage: (Principal, Service) -> String? = { _, _ in nil }
    /// False for users who were switched off.
    var isActive: (Principal) -> Bool = { _ in true }
    /// As far as memory knows; questions make sure that it does.
    var usage: (Principal) -> Usage = { _ in Usage() }
    var mayUseServer: (Principal, String) -> Bool = { $0.isAdministrator || !$1.isEmpty }
    var mayUseTool: (Principal, String, String) -> Bool = { _, _, _ in true }
    /// `mcp_access` and `tool_restrictions` as the role has them, for the record.
    var accessText: (Principal) -> JSONValue = { $0.isAdministrator ? ["*"] : [] }
    var restrictionsText: (Principal) -> JSONValue = { _ in [:] }

    init(_ tracker: FlowTracker) { self.tracker = tracker }

    // MARK: Calls

    /// Takes one call of a tool through all gates.
    func admit(
        _ principal: Principal, to tool: String, of server: String, from source: Flow.Source,
        requestID: String
    ) -> Admission {
        let flow = tracker.begin(source, for: principal, requestID: requestID)
        flow?.gate(.authCheck)
        if let message = blockMessage(principal, .mcp) {
            flow?.gate(.blockCheck, passed: false, [("error", .string(message))])
            return refuse(flow, .forbidden, message)
        }
        flow?.gate(.blockCheck)
        let usage = usage(principal)
        flow?.gate(.usageCheck, Self.fields(usage))
        guard mayUseServer(principal, server) else {
            let message = "\(server) is not among the servers you may use."
            flow?.gate(
                .permissionCheck, passed: false,
                [("mcp_access", accessText(principal)), ("error", .string(message))])
            return refuse(flow, .forbidden, message)
        }
        flow?.gate(.permissionCheck, [("mcp_access", accessText(principal))])
        guard mayUseTool(principal, server, tool) else {
            let message = "You may not use \(tool) of \(server)."
            flow?.gate(
                .toolFilter, passed: false,
                [
                    ("tool_restrictions", restrictionsText(principal)),
                    ("error", .string(message)),
                ])
            return refuse(flow, .forbidden, message)
        }
        flow?.gate(.toolFilter, [("tool_restrictions", restrictionsText(principal))])
        return Admission(flow: flow?.call(tool, of: server))
    }

    private func refuse(_ flow: Flow?, _ status: HTTPStatus, _ message: String) -> Admission {
        flow?.finish()
        return Admission(refusal: Refusal(status: status, message: message))
    }

    static func fields(_ usage: Usage) -> [Checkpoint.Field] {
        [
            ("remaining", usage.remaining.map { .double($0) } ?? .null),
            ("cost_used", .double(usage.cost)),
        ]
    }
}
