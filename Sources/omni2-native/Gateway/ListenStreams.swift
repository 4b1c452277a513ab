import OmniCore
import OmniIO

/// The streams of `subscriptions/listen`: how clients of the stateless era hear of changes.
///
/// Each frame carries the id of the request that opened its stream; nothing is replayed.
final class ListenStreams {
    final class Stream {
        let exchange: MCPExchange
        let wants: Wants
        /// As access is now.
        var principal: Principal
        /// What the client could see last, to tell it of differences.
        var view: GatewayView

        init(_ exchange: MCPExchange, _ wants: Wants, _ view: GatewayView) {
            self.exchange = exchange
            self.wants = wants
            self.view = view
            principal = exchange.call.principal
        }
    }

    struct Wants: OptionSet {
        var rawValue: UInt8
        static let tools = Wants(rawValue: 1)
        static let prompts = Wants(rawValue: 2)
        static let resources = Wants(rawValue: 4)
    }

    private let gateway: Gateway
    private var streams: [ObjectIdentifier: Stream] = [:]
    private let countMax: Int

    init(_ gateway: Gateway, countMax: Int) {
        self.gateway = gateway
        self.countMax = countMax
    }

    var count: Int { streams.count }

    /// Acknowledges what is honoured of `params.notifications`, and goes on until one side ends it.
    func open(
        _ exchange: MCPExchange, _ filter: ByteRange, in bytes: RawSpan
    ) throws(RPCFailure) {
        guard streams.count < countMax else { throw RPCFailure(.internalError, .tooMany) }
        func wants(_ name: StaticString) -> Bool {
            JSONScanner.bool(JSONScanner.member(name, of: filter, in: bytes), in: bytes) == true
        }
        var wanted: Wants = []
        if wants("toolsListChanged") { wanted.insert(.tools) }
        if wants("promptsListChanged") { wanted.insert(.prompts) }
        if wants("resourcesListChanged") { wanted.insert(.resources) }
        let principal = exchange.call.principal
        let uris = Self.uris(filter, in: bytes).filter {
            gateway.owner(ofResource: $0, for: principal) != nil
        }
        let stream = Stream(exchange, wanted, gateway.view(principal))
        let key = ObjectIdentifier(stream)
        streams[key] = stream
        exchange.withdraw = { [weak self] _ in self?.remove(key) }
        acknowledge(stream, uris)
        watch(uris, for: stream)
    }

    private static func uris(_ filter: ByteRange, in bytes: RawSpan) -> [String] {
        guard let list = JSONScanner.member("resourceSubscriptions", of: filter, in: bytes) else {
            return []
        }
        var uris: [String] = []
        var elements = JSONElements(of: list, in: bytes)
        while let element = elements.next(in: bytes), uris.count < ResourceWatches.perWatcherMax {
            if let uri = JSONScanner.string(element, in: bytes) { uris.append(uri) }
        }
        return uris
    }

    private func acknowledge(_ stream: Stream, _ uris: [String]) {
        var json = JSONWriter()
        json.object { json in
            json.memberObject("notifications") { json in
                if stream.wants.contains(.tools) { json.member("toolsListChanged", true) }
                if stream.wants.contains(.prompts) { json.member("promptsListChanged", true) }
                if stream.wants.contains(.resources) { json.member("resourcesListChanged", true) }
                if !uris.isEmpty { json.member("resourceSubscriptions", uris) }
            }
            Self.meta(stream, &json)
        }
        tell(stream, .subscriptionsAcknowledged, json.take())
    }

    private static func meta(_ stream: Stream, _ json: inout JSONWriter) {
        json.memberObject("_meta") { json in
            json.member(ModernMeta.subscriptionID, raw: stream.exchange.id)
        }
    }

    private func watch(_ uris: [String], for stream: Stream) {
        if uris.isEmpty { return }
        let key = ObjectIdentifier(stream)
        gateway.io.spawn { [gateway] in
            for uri in uris {
                guard let owner = gateway.owner(ofResource: uri, for: stream.principal) else {
                    continue
                }
                do throws(UpstreamError) {
                    try await gateway.watches.add(
                        key, owner, as: uri, until: gateway.io.now + .seconds(10)
                    ) { [weak self, weak stream] uri in
                        guard let self, let stream else { return }
                        var json = JSONWriter()
                        json.object { json in
                            json.member("uri", uri)
                            Self.meta(stream, &json)
                        }
                        self.tell(stream, .resourceUpdated, json.take())
                    }
                } catch {
                    // A server that does not tell of changes: nothing will come, which is what a
                    // resource that never changes looks like.
                }
                // It may have ended while the server was asked.
                if self.streams[key] == nil { gateway.watches.removeAll(key) }
            }
        }
    }

    /// The lists have changed: each is told of the differences it can see.
    func refresh() {
        for stream in streams.values { show(gateway.view(stream.principal), to: stream) }
    }

    /// Access has changed: who may not be here ends, the others see what they may see now.
    func reviewAccess() {
        for stream in streams.values {
            guard let now = gateway.admitted(stream.principal) else {
                end(stream)
                continue
            }
            stream.principal = now
            gateway.watches.review(ObjectIdentifier(stream), for: now)
            show(gateway.view(now), to: stream)
        }
    }

    func dismiss(user: Int) {
        for stream in streams.values where stream.principal.userID == user { end(stream) }
    }

    private func show(_ view: GatewayView, to stream: Stream) {
        let before = stream.view
        stream.view = view
        if before === view { return }
        let changes = view.changes(from: before)
        if changes.tools { tell(stream, .tools, .toolsListChanged) }
        if changes.prompts { tell(stream, .prompts, .promptsListChanged) }
        if changes.resources { tell(stream, .resources, .resourcesListChanged) }
    }

    private func tell(_ stream: Stream, _ kind: Wants, _ method: MCPMethod) {
        guard stream.wants.contains(kind) else { return }
        var json = JSONWriter()
        json.object { Self.meta(stream, &$0) }
        tell(stream, method, json.take())
    }

    /// A client that does not read is cut off: it listens anew and reads the lists again.
    private func tell(_ stream: Stream, _ method: MCPMethod, _ params: [UInt8]) {
        if stream.exchange.pendingBytes > Self.pendingMax {
            return end(stream)
        }
        stream.exchange.notify(method, params)
    }

    private static let pendingMax = 1 << 20

    func tidy() { for stream in streams.values { stream.exchange.keepAlive() } }

    private func remove(_ key: ObjectIdentifier) {
        streams[key] = nil
        gateway.watches.removeAll(key)
    }

    private func end(_ stream: Stream) {
        remove(ObjectIdentifier(stream))
        var json = JSONWriter()
        json.object { json in
            json.member("resultType", "complete")
            Self.meta(stream, &json)
        }
        stream.exchange.answer(raw: json.take())
    }

    func endAll() { for stream in streams.values { end(stream) } }
}
