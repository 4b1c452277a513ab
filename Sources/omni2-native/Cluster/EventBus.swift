import OmniCore
import OmniIO

/// Carries events between the hubs of several hosts, over the original's channel `system_events`
/// (`{type, data}`), and takes what others say there.
///
/// Every message names its origin, and a host ignores its own; Redis delivers each message once to
/// each host. A server's status may become known by two ways, the checking host's event and the row
/// it wrote: whichever comes first is shown, the other says nothing new.
final class EventBus {
    static let channel = "system_events"
    static let flowPrefix = "flow_events:"

    private let hub: WebSocketHub
    private let link: RedisLink?
    private let origin: String
    /// The status of each server that subscribers were told last.
    private var announced: [String: String] = [:]
    private(set) var sent: UInt64 = 0
    private(set) var received: UInt64 = 0
    /// What this host says about itself alone.
    private static let local: Set<String> = [
        "ping", "system_metrics", "system_health", "cache_stats", "cache_invalidated",
    ]

    init(hub: WebSocketHub, link: RedisLink?, origin: String) {
        self.hub = hub
        self.link = link
        self.origin = origin
        guard let link else { return }
        link.on(Self.channel) { [unowned self] in self.heard($0) }
        link.on(prefix: Self.flowPrefix) { [unowned self] in self.heardFlow($0, $1) }
    }

    // MARK: Out

    /// Publishes here and on all other hosts.
    func publish(_ event: ServiceEvent) {
        hub.publish(event)
        forward(event)
    }

    /// What the coordinator says: of general interest on the host that checks, else for this one.
    func publish(_ event: ServiceEvent, isLeader: Bool) {
        guard isNews(event.type, event.facts) else { return }
        // Circuits are per host; what the checking host says of its own is said everywhere.
        if !isLeader, link?.isConnected == true, Self.ofLeader.contains(event.type) { return }
        hub.publish(event)
        if isLeader { forward(event) }
    }

    func forward(_ event: ServiceEvent) {
        guard let link, !Self.local.contains(event.type) else { return }
        var json = JSONWriter(reserving: event.members.count + 128)
        json.object { json in
            json.member("type", event.type)
            json.member("origin", origin)
            if event.facts.audience == .everyone { json.member("audience", "everyone") }
            json.members(raw: event.members)
        }
        if link.publish(Self.channel, json.take()) { sent += 1 }
    }

    private static let ofLeader: Set<String> = [
        "circuit_breaker_state", "health_event", "mcp_auto_disabled",
    ]

    private func isNews(_ type: String, _ facts: EventFacts) -> Bool {
        guard link != nil, type == "mcp_status_change", let server = facts.mcpName,
            let status = facts.newStatus
        else { return true }
        guard announced[server] != status else { return false }
        announced[server] = status
        return true
    }

    // MARK: In

    private func heard(_ payload: [UInt8]) {
        guard let message = Self.object(payload), let type = message["type"]?.string,
            message["origin"]?.string != origin, !Self.local.contains(type)
        else { return }
        var members = message
        for name in ["type", "origin", "audience", "timestamp", "seq"] { members[name] = nil }
        var facts = message["data"] ?? [:]
        if facts.object == nil { facts = [:] }
        if let name = message["mcp_name"] { facts["mcp_name"] = name }
        let event = ServiceEvent(
            type, to: message["audience"]?.string == "everyone" ? .everyone : .subscribers,
            data: facts, members: members)
        guard isNews(type, event.facts) else { return }
        received += 1
        hub.publish(event)
    }

    /// A checkpoint of a flow on another host, for whoever watches its user here.
    private func heardFlow(_ channel: String, _ payload: [UInt8]) {
        guard let user = Int(channel.dropFirst(Self.flowPrefix.count)),
            let message = Self.object(payload), message["origin"]?.string != origin
        else { return }
        var event: JSONValue = [
            "type": "flow_event", "topic": .string(FlowTopic.name(of: user)),
            "seq": .int(Int64(hub.lastSequence + 1)),
        ]
        for (name, value) in message.object?.members ?? [] where name != "origin" {
            if event[name] == nil { event[name] = value }
        }
        received += 1
        let facts = EventFacts(
            type: FlowTopic.name(of: user), audience: .flow(user: Int64(user)))
        _ = event.bytes.withRawSpan { hub.publish($0, facts: facts) }
    }

    /// What is no JSON object is nobody's event.
    static func object(_ payload: [UInt8]) -> JSONValue? {
        guard let value = try? JSONValue(parsing: payload), value.object != nil else { return nil }
        return value
    }
}
