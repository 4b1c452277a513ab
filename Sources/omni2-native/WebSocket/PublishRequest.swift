import OmniCore

/// An event from outside: `{type, data, topic}`, checked.
struct PublishRequest: Sendable {
    let event: ServiceEvent

    static let rule = """
        An event is {"type": 1 to 64 of a-z 0-9 _ . : -, but no word of the protocol, "data": an \
        object, "topic": the same as type, optional}.
        """
    /// What the hub itself says to one client: from outside it would move a client's place.
    private static let reserved: Set<String> = [
        "initial_status", "resumed", "subscribed", "unsubscribed", "published", "metadata",
        "error", "ping", "pong",
    ]

    /// What the client calls it: finished JSON, for the reply.
    let id: [UInt8]?

    /// From a JSON text. Nil when it is not what `rule` says.
    init?(_ text: RawSpan) {
        guard let request = JSONScanner.object(in: text) else { return nil }
        self.init(request, in: text)
    }

    /// From validated JSON. What is inside of `data` travels on as it was written.
    init?(_ request: ByteRange, in bytes: RawSpan) {
        let parts = Parts(request, in: bytes)
        guard let type = Self.name(parts.type, in: bytes), !Self.reserved.contains(type) else {
            return nil
        }
        var json = JSONWriter(reserving: request.count)
        let facts: EventFacts
        if let data = parts.data {
            guard JSONScanner.kind(of: data, in: bytes) == .object else { return nil }
            json.member("data", compact: data, of: bytes)
            facts = EventFacts(type: type, data: data, in: bytes)
        } else {
            json.memberObject("data") { _ in }
            facts = EventFacts(type: type)
        }
        if let topic = parts.topic, !JSONScanner.isNull(topic, in: bytes) {
            guard let name = Self.name(topic, in: bytes) else { return nil }
            json.member("topic", name)
        }
        event = ServiceEvent(type, facts: facts, members: json.take())
        id = parts.id.map { JSONScanner.copy($0, from: bytes) }
    }

    /// Where the members lie. The last of equal names counts.
    private struct Parts {
        var type: ByteRange?
        var data: ByteRange?
        var topic: ByteRange?
        var id: ByteRange?

        init(_ request: ByteRange, in bytes: RawSpan) {
            var members = JSONMembers(of: request, in: bytes)
            while let member = members.next(in: bytes) {
                if member.isNamed("type", in: bytes) { type = member.value }
                if member.isNamed("data", in: bytes) { data = member.value }
                if member.isNamed("topic", in: bytes) { topic = member.value }
                if member.isNamed("id", in: bytes) { id = member.value }
            }
        }
    }

    private static func name(_ value: ByteRange?, in bytes: RawSpan) -> String? {
        guard let name = JSONScanner.string(value, in: bytes), isName(name) else { return nil }
        return name
    }

    private static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
