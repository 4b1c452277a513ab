import OmniCore

/// An event from outside: `{type, data, topic}`, checked.
struct PublishRequest {
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

    /// Nil when it is not what `rule` says.
    init?(_ value: JSONValue) {
        guard let type = value["type"]?.string, Self.isName(type),
            !Self.reserved.contains(type)
        else { return nil }
        let data = value["data"] ?? [:]
        guard data.object != nil else { return nil }
        var members: JSONValue = ["data": data]
        if let topic = value["topic"], topic != .null {
            guard let name = topic.string, Self.isName(name) else { return nil }
            members["topic"] = .string(name)
        }
        event = ServiceEvent(type, to: .subscribers, data: data, members: members)
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
