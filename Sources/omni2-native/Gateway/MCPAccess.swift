import OmniCore
import OmniIO

/// What a request may do: how often, and to what. The same in both eras.
extension MCPExchange {
    /// Counts a request that does work; true: it may. Answers 429 itself, for a message of a batch
    /// an error in its place.
    func mayWork() -> Bool {
        let access = gateway.access
        guard let refusal = access.take(call.principal) else {
            rateHeaders = access.standing(call.principal)?.headers ?? []
            return true
        }
        access.audit.denied(
            call.exchange, by: call.principal, action: "request", reason: refusal.message)
        gateway.gates?.stopped(
            call.principal, at: .usageCheck, because: refusal.message, from: .gateway,
            requestID: call.exchange.requestID)
        refuse(refusal)
        return false
    }

    /// Somebody asked for what is there and not for them: the answer is that of what is not there.
    func noteDenied(_ method: MCPMethod, _ name: String) {
        gateway.access.audit.denied(
            call.exchange, by: call.principal, action: "\(method.name)", target: name,
            reason: "no permission")
        let item = gateway.catalogue.tool(named: name)
        gateway.gates?.stopped(
            call.principal, at: .toolFilter, because: "no permission", from: .gateway,
            requestID: call.exchange.requestID, server: item?.serverName,
            tool: item?.name ?? name)
    }

    /// The same for a name that may be one of a prompt or a resource; nothing where there is none.
    func noteIfDenied(_ method: MCPMethod, prompt name: String) {
        if gateway.catalogue.prompt(named: name) != nil { noteDenied(method, name) }
    }

    func noteIfDenied(_ method: MCPMethod, resource uri: String) {
        let isThere = gateway.catalogue.resources.contains { $0.name == uri || $0.offered == uri }
        if isThere { noteDenied(method, uri) }
    }
}
