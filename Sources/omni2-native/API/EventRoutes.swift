import OmniCore
import OmniIO

/// `/ws` and `/api/v1/events`: the hub's door, and what a dashboard needs to build its filters.
struct EventRoutes {
    let io: any IO
    let hub: WebSocketHub
    let shards: Shards
    let coordinator: Coordinator
    let webSockets: WebSocketShared
    let settings: Configuration.WebSocket
    /// Takes what an operator publishes to the other hosts.
    let crossing: (ServiceEvent) -> Void
    let audit: Audit

    func add(to router: inout Router) {
        for path in ["/ws", "/ws/mcp-status"] {
            router.on(
                .get, path, .viewer,
                "Events as a WebSocket".described.answering(.switchingProtocols, nil)
            ) { join($0) }
        }
        if settings.hasEchoEndpoint {
            let echo = EchoApplication()
            router.on(.get, "/ws/echo", .open) { call in
                upgrade(call, address: nil) { newcomer, handshake in
                    let conversation = WebSocketConversation(
                        newcomer, to: echo, shared: webSockets)
                    call.exchange.upgrade(handshake.respond, to: conversation)
                }
            }
        }
        router.on(
            .get, "/api/v1/ws/flows/{user_id}", .authenticated,
            "Upgrades to a WebSocket with one user's flows as they happen".described
        ) { watch($0) }
        router.on(
            .get, "/api/v1/events/stream", .viewer,
            "Events as server-sent events".described
                .asking(
                    .text("event_types", "the types wanted, with commas between them"),
                    .text("since", "the number of the last event seen")
                ).answering(.ok, type: "text/event-stream")
        ) { stream($0) }
        router.on(
            .post, "/api/v1/events/publish", .administrator,
            "Publishes an event".described.explained(PublishRequest.rule).answering(
                .ok, .reply(.required("seq", .count)))
        ) { publish($0) }
        router.on(
            .get, "/api/v1/events/metadata", .viewer,
            "Types of events, and how they are filtered".described
        ) { call in
            call.respond(HTTPResponse(json: EventCatalogue().metadata()))
        }
        router.on(
            .get, "/api/v1/events/mcp-list", .viewer,
            "Servers to filter events by".described
                .answering(.ok, .list(.map(.any), 0...Int.max))
        ) { list($0) }
        router.on(
            .get, "/api/v1/events/websocket/debug", .administrator,
            "Who is connected, and what they get".described
        ) { debug($0) }
        router.on(
            .post, "/api/v1/events/test/broadcast", .administrator,
            "Publishes two test events".described.answering(.ok, PeopleSchema.done)
        ) { test($0) }
    }

    /// One status and one breaker event about a server that does not exist.
    private func test(_ call: Router.Call) {
        hub.publish(
            .statusChange(
                of: "test-mcp", from: "healthy", to: "disconnected", reason: "test broadcast",
                severity: .info))
        let data: JSONValue = [
            "mcp_name": "test-mcp", "old_state": "closed", "new_state": "open", "state": "open",
            "severity": "info", "message": "test broadcast",
        ]
        hub.publish(ServiceEvent("circuit_breaker_state", data: data))
        audit.done(call.exchange, by: call.principal, "event.test", nil)
        call.respond(
            HTTPResponse(json: [
                "success": true, "message": "Two test events are on their way.", "events": 2,
            ]))
    }

    // MARK: WebSocket

    private func join(_ call: Router.Call) {
        guard mayHave(eventTypes(call), call) else { return }
        let address = settings.perAddressMax > 0 ? call.exchange.peerAddress?.host : nil
        switch hub.mayEnter(call.principal, address: address) {
        case .welcome:
            upgrade(call, address: address) {
                shards.admit($0, call.exchange, $1, webSockets)
            }
        case .full:
            call.fail(
                .serviceUnavailable, "There are as many dashboards as allowed.",
                headers: [.init(name: "Retry-After", value: "5")])
        case .tooManyOfYours(let what):
            call.fail(
                .tooManyRequests, "Your \(what) has as many dashboards open as allowed.",
                headers: [.init(name: "Retry-After", value: "5")])
        }
    }

    /// The flows of one user as they happen: one's own, or anybody's for administrators.
    private func watch(_ call: Router.Call) {
        guard let user = Int(call["user_id"]) else {
            return call.fail(.badRequest, "The path ends in the number of a user.")
        }
        guard call.principal.mayWatchFlow(of: user) else {
            return call.fail(.forbidden, "These flows are not yours to watch.")
        }
        guard case .welcome = hub.mayEnter(call.principal, address: nil) else {
            return call.fail(
                .serviceUnavailable, "There are as many dashboards as allowed.",
                headers: [.init(name: "Retry-After", value: "5")])
        }
        upgrade(call, address: nil, flowUser: Int64(user)) {
            shards.admit($0, call.exchange, $1, webSockets)
        }
    }

    private func upgrade(
        _ call: Router.Call, address: String?, flowUser: Int64? = nil,
        _ begin: (WebSocketNewcomer, WebSocketHandshake) -> Void
    ) {
        let policy = settings.compresses ? PerMessageDeflate.Policy() : nil
        let checked = call.request.withHead {
            head, bytes -> Result<WebSocketHandshake, any Error> in
            do throws(WebSocketHandshakeError) {
                return .success(
                    try WebSocketHandshake.check(
                        head, in: bytes, deflate: policy, sha1: Self.sha1))
            } catch {
                return .failure(error)
            }
        }
        switch checked {
        case .success(let handshake):
            var newcomer = WebSocketNewcomer(
                principal: call.principal, address: address,
                deflateBits: handshake.deflate?.serverWindowBits ?? 0,
                lastSeen: call.request.query("since").flatMap(place), types: eventTypes(call))
            if flowUser != nil {
                newcomer.flowUser = flowUser
                newcomer.lastSeen = nil
                newcomer.types = []
            }
            begin(newcomer, handshake)
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

    static func sha1(_ bytes: RawSpan) -> [20 of UInt8] {
        let digest = Digest.sha1(bytes.array(ByteRange(offset: 0, count: bytes.byteCount)))
        var result = [20 of UInt8](repeating: 0)
        for index in 0..<20 { result[index] = digest[index] }
        return result
    }

    // MARK: Plain HTTP

    /// `event_types` lists the types wanted; `Last-Event-ID` or `since` where to go on.
    private func stream(_ call: Router.Call) {
        guard mayHave(eventTypes(call), call) else { return }
        let since = call.request.header("Last-Event-ID") ?? call.request.query("since")
        let isTaken = hub.streams.begin(
            call.exchange, types: eventTypes(call), since: since.flatMap(place),
            for: call.principal)
        guard !isTaken else { return }
        call.fail(
            .serviceUnavailable, "There are as many event streams as allowed.",
            headers: [.init(name: "Retry-After", value: "5")])
    }

    /// The flows of others are for administrators, under whatever name they are asked for; answers 403
    /// itself.
    private func mayHave(_ types: [String], _ call: Router.Call) -> Bool {
        let isForeign = types.contains { topic in
            FlowTopic.user(of: topic).map { !call.principal.mayWatchFlow(of: $0) } ?? false
        }
        if isForeign { call.fail(.forbidden, "These flows are not yours to watch.") }
        return !isForeign
    }

    /// The event a client says it saw last. What is no number of ours is a place that the log does
    /// not reach, so that the client is told of the gap; an empty text names none.
    private func place(_ text: String) -> UInt64? {
        text.isEmpty ? nil : min(UInt64(text) ?? .max, HubAction.nowhere)
    }

    private func eventTypes(_ call: Router.Call) -> [String] {
        (call.request.query("event_types") ?? "").split(separator: ",").map(String.init)
    }

    private func publish(_ call: Router.Call) {
        guard let request = call.request.body.withRawSpan({ PublishRequest($0) }) else {
            // Where it is no JSON, `json` says so itself.
            if call.json() != nil { call.fail(.badRequest, PublishRequest.rule) }
            return
        }
        guard let sequence = hub.publish(request, crossing: crossing) else {
            return call.fail(
                .contentTooLarge, "An event has at most \(hub.settings.publishedBytesMax) bytes.")
        }
        audit.done(call.exchange, by: call.principal, "event.publish", request.event.type)
        call.respond(HTTPResponse(json: ["success": true, "seq": .int(Int64(sequence))]))
    }

    private func list(_ call: Router.Call) {
        let items = call.principal.permission.items
        let servers = coordinator.registry.servers.filter { items.maySee(server: $0.name) }.map {
            server -> JSONValue in
            [
                "id": JSONValue(server.id), "name": .string(server.name),
                "status": .string(server.record.configuration.status),
            ]
        }
        call.respond(HTTPResponse(json: JSONValue.array(servers)))
    }

    private func debug(_ call: Router.Call) {
        io.spawn { call.respond(HTTPResponse(json: await shards.report().json)) }
    }
}
