import OmniCore

/// What clients of the hub ask for, and what they are told.
extension WebSocketHub {
    func received(_ message: RawSpan, isText: Bool, from peer: WebSocketConversation) {
        guard peer.slot >= 0 else { return }
        heard(peer)
        guard isText else { return }
        switch HubAction(message) {
        case .ping: Self.pong.withRawSpan { peer.send(text: $0) }
        case .metadata: peer.send(text: Self.metadata)
        case .subscribe(let types, let filters): subscribe(peer, types, filters)
        case .unsubscribe(let id): unsubscribe(peer, id)
        case .resume(let since): resume(peer, since)
        case .publish(let request): publish(request, peer)
        case .unknown: break
        }
    }

    private func subscribe(_ peer: WebSocketConversation, _ types: [String], _ filters: JSONValue) {
        let foreign = types.first { topic in
            FlowTopic.user(of: topic).map { !peer.principal.mayWatchFlow(of: $0) } ?? false
        }
        if let foreign { return refuse(peer, "\(foreign) is not yours to watch") }
        var subscriptions = peer.subscriptions
        guard subscriptions.count < settings.subscriptionsMax else {
            return refuse(peer, "at most \(settings.subscriptionsMax) subscriptions per connection")
        }
        let id = subscriptions.add(wishes.share(types, filters))
        guard adopt(subscriptions, peer) else { return refuse(peer, Self.tooManyClasses) }
        peer.send(
            text: JSONValue.object(
                JSONObject([
                    ("type", "subscribed"), ("subscription_id", .string(id)),
                    ("event_types", JSONValue(types)), ("filters", filters),
                ])
            ).bytes)
    }

    private func unsubscribe(_ peer: WebSocketConversation, _ id: String) {
        var subscriptions = peer.subscriptions
        subscriptions.remove(id)
        guard adopt(subscriptions, peer) else { return refuse(peer, Self.tooManyClasses) }
        let reply: JSONValue = ["type": "unsubscribed", "subscription_id": .string(id)]
        peer.send(text: reply.bytes)
    }

    private func publish(_ request: PublishRequest?, _ peer: WebSocketConversation) {
        guard peer.principal.isAdministrator else {
            return refuse(peer, "publishing needs the role super_admin")
        }
        guard let request else { return refuse(peer, PublishRequest.rule) }
        if let office {
            guard office.wantsPublished(request, id(of: Int(peer.slot))) else {
                return refuse(peer, "too many events wait to be published, try again")
            }
        } else {
            peer.send(text: reply(to: request))
        }
    }

    /// Publishes, and says what became of it.
    func reply(to request: PublishRequest) -> [UInt8] {
        guard let sequence = publish(request, crossing: crossing) else {
            return refusal("an event has at most \(settings.publishedBytesMax) bytes")
        }
        var json = JSONWriter(reserving: 64)
        json.object { json in
            json.member("type", "published")
            json.member("seq", sequence)
            if let id = request.id { json.member("id", raw: id) }
        }
        return json.take()
    }

    private func refuse(_ peer: WebSocketConversation, _ why: String) {
        peer.send(text: refusal(why))
    }

    private func refusal(_ why: String) -> [UInt8] {
        statistics.refused += 1
        let reply: JSONValue = ["type": "error", "error": .string(why)]
        return reply.bytes
    }

    private static let tooManyClasses = "too many different subscriptions on this server"
    private static let pong = Array("pong".utf8)
    private static let metadata: [UInt8] = {
        Array(#"{"type":"metadata","data":"#.utf8) + EventCatalogue().metadata() + [0x7D]
    }()
}
