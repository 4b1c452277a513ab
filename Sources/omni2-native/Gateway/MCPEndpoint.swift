import OmniCore
import OmniIO

/// `/mcp`: Streamable HTTP, server side. POST carries messages, GET opens the stream for what we say
/// first, DELETE ends the session.
final class MCPEndpoint {
    let gateway: Gateway
    private let log: Log

    static let sessionHeader: StaticString = "Mcp-Session-Id"

    init(_ gateway: Gateway, log: Log) {
        self.gateway = gateway
        self.log = log
    }

    func add(to router: inout Router) {
        for path in ["/mcp", "/mcp-v2"] {
            router.on(
                .post, path, .service(.mcp),
                "MCP: a message of the client".described.failing(.any)
                    .answering(.ok, .any).answering(.accepted, nil)
            ) { [unowned self] in self.post($0) }
            router.on(
                .get, path, .service(.mcp),
                "MCP: the stream of what the server says first".described
                    .answering(.ok, type: "text/event-stream")
            ) { [unowned self] in self.get($0) }
            router.on(
                .delete, path, .service(.mcp),
                "MCP: ends the session".described.answering(.noContent, nil)
            ) { [unowned self] in self.delete($0) }
        }
    }

    // MARK: GET and DELETE

    private func get(_ call: Router.Call) {
        guard speaksHandshake(call) else { return }
        guard
            call.request.headerLists("text/event-stream", in: "Accept")
                || call.request.header("Accept")?.contains("text/event-stream") == true
        else {
            return call.fail(.notAcceptable, "Accept must list text/event-stream.")
        }
        guard let session = session(call) else { return }
        if let last = call.request.header("Last-Event-ID"), !last.isEmpty {
            guard session.resume(call.exchange, after: last) else {
                return call.fail(
                    .badRequest, "Last-Event-ID \(last.prefix(40)) belongs to no stream here.")
            }
            return
        }
        guard session.listen(call.exchange) else {
            return call.fail(.conflict, "This session has its stream open already.")
        }
    }

    private func delete(_ call: Router.Call) {
        guard speaksHandshake(call), let session = session(call) else { return }
        gateway.sessions.end(session)
        call.respond(HTTPResponse(.noContent))
    }

    /// The stateless era has POST alone; answers 405 itself.
    private func speaksHandshake(_ call: Router.Call) -> Bool {
        guard let header = call.request.header("MCP-Protocol-Version"),
            ProtocolVersion(header)?.era == .modern
        else { return true }
        call.fail(
            .methodNotAllowed, "Revision \(header) has POST alone.",
            headers: [.init(name: "Allow", value: "POST")])
        return false
    }

    static func eventStream() -> HTTPResponse {
        var response = HTTPResponse(
            .ok,
            headers: [
                .init(name: "Cache-Control", value: "no-cache, no-transform"),
                .init(name: "X-Accel-Buffering", value: "no"),
            ])
        response.contentType = "text/event-stream"
        return response
    }

    /// The session the header names; answers 400 or 404 itself.
    private func session(_ call: Router.Call) -> GatewaySession? {
        guard let id = call.request.header(Self.sessionHeader) else {
            call.fail(.badRequest, "Mcp-Session-Id is missing; initialize gives one.")
            return nil
        }
        guard let session = gateway.sessions.find(id, for: call.principal) else {
            call.fail(.notFound, "There is no such session; initialize a new one.")
            return nil
        }
        return session
    }

    // MARK: POST

    private func post(_ call: Router.Call) {
        guard isAcceptable(call) else { return }
        let body = call.request.body
        body.withRawSpan { bytes in
            do throws(RPCFailure) {
                switch try RPCIncoming.read(bytes) {
                case .message(let message):
                    if isModern(message, in: bytes, call) {
                        receiveModern(message, in: bytes, call)
                    } else if isKnownVersion(call) {
                        receive(message, in: bytes, call)
                    }
                case .batch(let batch):
                    if isModern(nil, in: bytes, call) {
                        throw RPCFailure(.invalidRequest, .batchNotAllowed)
                    }
                    if isKnownVersion(call) { try receive(batch: batch, in: bytes, call) }
                }
            } catch {
                refuse(error, in: bytes, call)
            }
        }
    }

    private func isAcceptable(_ call: Router.Call) -> Bool {
        guard isJSON(call.request) else {
            call.fail(.unsupportedMediaType, "Content-Type must be application/json.")
            return false
        }
        if !call.request.headerLists("application/json", in: "Accept"),
            let accept = call.request.header("Accept")?.lowercased(), !accept.contains("*/*"),
            !accept.contains("application/json"), !accept.contains("application/*")
        {
            call.fail(.notAcceptable, "Accept must list application/json and text/event-stream.")
            return false
        }
        return true
    }

    private func isKnownVersion(_ call: Router.Call) -> Bool {
        guard let version = call.request.header("MCP-Protocol-Version"),
            ProtocolVersion(version) == nil
        else { return true }
        call.fail(
            .badRequest,
            "MCP-Protocol-Version \(version.prefix(40)) is not known; this server speaks "
                + ProtocolVersion.allCases.map { "\($0.text)" }.joined(separator: ", ") + ".")
        return false
    }

    private func isJSON(_ request: HTTPRequest) -> Bool {
        request.withHead { head, bytes in
            let wanted: StaticString = "application/json"
            guard let type = head.value(of: "Content-Type", in: bytes),
                type.count >= wanted.utf8CodeUnitCount
            else { return false }
            return bytes.equalsIgnoringCase(
                ByteRange(offset: type.offset, count: wanted.utf8CodeUnitCount), wanted)
        }
    }

    private func receive(_ message: RPCMessage, in bytes: RawSpan, _ call: Router.Call) {
        let isInitialize =
            message.kind == .request
            && JSONScanner.equals(message.method, MCPMethod.initialize.name, in: bytes)
        guard isInitialize || call.request.header(Self.sessionHeader) != nil else {
            return refuse(
                RPCFailure(.invalidRequest, .notInitialized, id: message.id), in: bytes, call)
        }
        let session: GatewaySession
        if isInitialize, call.request.header(Self.sessionHeader) == nil {
            session = gateway.sessions.open(for: call.principal)
            session.view = gateway.view(call.principal)
        } else if let found = self.session(call) {
            session = found
        } else {
            return
        }
        MCPExchange(gateway, .handshake(session), call).receive(message, in: bytes, of: session)
    }

    /// Only one revision had batches. They are answered one by one, in order, as one array.
    private func receive(
        batch: ByteRange, in bytes: RawSpan, _ call: Router.Call
    ) throws(RPCFailure) {
        guard call.request.header(Self.sessionHeader) != nil else {
            throw RPCFailure(.invalidRequest, .notInitialized)
        }
        guard let session = session(call) else { return }
        guard session.machine.version.allowsBatches else {
            throw RPCFailure(.invalidRequest, .batchNotAllowed)
        }
        MCPBatch(gateway, session, call).receive(batch, in: bytes)
    }

    /// A message that could not be accepted: 400, with the JSON-RPC error as the body.
    private func refuse(_ failure: RPCFailure, in bytes: RawSpan, _ call: Router.Call) {
        var message: [UInt8] = []
        RPCWriter.failure(failure, in: bytes, to: &message)
        log.debug(
            "message refused",
            fields: ["error": failure.message, "request_id": call.exchange.requestID])
        call.respond(HTTPResponse(.badRequest, json: message))
    }
}
