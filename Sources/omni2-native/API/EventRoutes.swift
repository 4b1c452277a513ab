import OmniCore
import OmniIO

/// `/ws` and `/api/v1/events`: the hub's door, and what a dashboard needs to build its filters.
struct EventRoutes {
    let hub: WebSocketHub
    let coordinator: Coordinator
    let limits: WebSocketLimits
    let log: Log

    func add(to router: inout Router) {
        for path in ["/ws", "/ws/mcp-status"] {
            router.on(.get, path, .authenticated) { upgrade($0) }
        }
        router.on(.get, "/api/v1/events/metadata", .authenticated) { call in
            call.respond(HTTPResponse(json: EventCatalogue().metadata()))
        }
        router.on(.get, "/api/v1/events/mcp-list", .authenticated) { list($0) }
        router.on(.get, "/api/v1/events/websocket/debug") { debug($0) }
    }

    private func upgrade(_ call: Router.Call) {
        guard !hub.isFull else {
            return call.fail(
                .serviceUnavailable, "There are as many dashboards as allowed.",
                headers: [.init(name: "Retry-After", value: "5")])
        }
        let checked = call.request.withHead { head, bytes -> Result<WebSocketHandshake, any Error> in
            do throws(WebSocketHandshakeError) {
                return .success(
                    try WebSocketHandshake.check(head, in: bytes, deflate: nil, sha1: Self.sha1))
            } catch {
                return .failure(error)
            }
        }
        switch checked {
        case .success(let handshake):
            call.exchange.upgrade(
                handshake.respond,
                to: WebSocketConversation(hub, principal: call.principal, limits: limits))
        case .failure(let error as WebSocketHandshakeError): refuse(error, call)
        case .failure: call.fail(.badRequest, "The handshake could not be read.")
        }
    }

    private func refuse(_ error: WebSocketHandshakeError, _ call: Router.Call) {
        var headers: [HTTPResponse.Header] = []
        if error.status == .upgradeRequired {
            headers = [
                .init(name: "Upgrade", value: "websocket"),
                .init(name: "Sec-WebSocket-Version", value: "13"),
            ]
        }
        call.fail(error.status, error.message.description, headers: headers)
    }

    private static func sha1(_ bytes: RawSpan) -> [20 of UInt8] {
        let digest = Digest.sha1(bytes.array(ByteRange(offset: 0, count: bytes.byteCount)))
        var result = [20 of UInt8](repeating: 0)
        for index in 0..<20 { result[index] = digest[index] }
        return result
    }

    private func list(_ call: Router.Call) {
        let servers = coordinator.registry.servers.map { server -> JSONValue in
            [
                "id": JSONValue(server.id), "name": .string(server.name),
                "status": .string(server.record.configuration.status),
            ]
        }
        call.respond(HTTPResponse(json: JSONValue.array(servers)))
    }

    private func debug(_ call: Router.Call) {
        call.respond(HTTPResponse(json: hub.report))
    }
}
