import OmniCore
import OmniIO

/// The stateless era's way in: each POST is complete in itself, its headers repeat what its body
/// says, and what does not agree is refused before anything is done.
extension MCPEndpoint {
    /// Whether a message belongs to the stateless era: neither its header nor its method speaks of a
    /// handshake, and it names no session.
    func isModern(_ message: RPCMessage?, in bytes: RawSpan, _ call: Router.Call) -> Bool {
        if let header = call.request.header("MCP-Protocol-Version") {
            if let version = ProtocolVersion(header) { return version.era == .modern }
        }
        if call.request.header(Self.sessionHeader) != nil { return false }
        return !JSONScanner.equals(message?.method, MCPMethod.initialize.name, in: bytes)
    }

    func receiveModern(_ message: RPCMessage, in bytes: RawSpan, _ call: Router.Call) {
        switch message.kind {
        // The revision defines neither; they are taken and nothing is done.
        case .notification, .result, .error: return call.respond(HTTPResponse(.accepted))
        case .request: break
        }
        guard acceptsBoth(call.request) else {
            return call.fail(
                .notAcceptable, "Accept must list application/json and text/event-stream.")
        }
        do throws(RPCFailure) {
            let headers = try routingHeaders(call.request, message)
            let request = try ModernRequest.read(message, headers: headers, in: bytes)
            let level = request.parameters.meta?.logLevel
            let client = MCPClient.Modern(
                capabilities: request.capabilities, logLevel: MCPLogLevel(level, in: bytes))
            MCPExchange(gateway, .modern(client), call).receive(request, message, in: bytes)
        } catch {
            refuseModern(error, message, in: bytes, call)
        }
    }

    private func acceptsBoth(_ request: HTTPRequest) -> Bool {
        guard let accept = request.header("Accept")?.lowercased() else { return true }
        return accept.contains("*/*")
            || (accept.contains("application/json") && accept.contains("text/event-stream"))
    }

    /// A header that comes twice would be read differently by different readers.
    private func routingHeaders(
        _ request: HTTPRequest, _ message: RPCMessage
    ) throws(RPCFailure) -> ModernRequest.Headers {
        let names: [StaticString] = ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"]
        for name in names where request.headerCount(name) > 1 {
            throw RPCFailure(.headerMismatch, .headerMismatch, id: message.id)
        }
        return ModernRequest.Headers(
            version: request.header("MCP-Protocol-Version"), method: request.header("Mcp-Method"),
            name: request.header("Mcp-Name"))
    }

    private func refuseModern(
        _ failure: RPCFailure, _ message: RPCMessage, in bytes: RawSpan, _ call: Router.Call
    ) {
        var data: [UInt8]?
        if failure.code == .unsupportedVersion {
            let parameters = try? MCPParameters.read(message.params, in: bytes)
            let wanted = JSONScanner.string(parameters?.meta?.protocolVersion, in: bytes)
            data = ModernRequest.unsupportedVersionData(requested: wanted ?? "")
        }
        var answer: [UInt8] = []
        RPCWriter.failure(failure, in: bytes, data: data, to: &answer)
        let status: HTTPStatus = failure.code == .methodNotFound ? .notFound : .badRequest
        call.respond(HTTPResponse(status, json: answer))
    }
}
