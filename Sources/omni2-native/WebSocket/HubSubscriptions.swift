import OmniCore
import OmniIO

/// The subscriptions of one connection, by the ids its client knows them by.
struct HubSubscriptions {
    var access: EventAccess
    private var entries: [(id: String, subscription: EventSubscription)] = []
    /// Set for a connection that watches the flows of one user and nothing else.
    var flowUser: Int64?

    init(access: EventAccess) { self.access = access }

    var count: Int { entries.count }
    var ids: [String] { entries.map(\.id) }

    var filterClass: FilterClass {
        FilterClass(
            subscriptions: entries.map(\.subscription), access: access, flowUser: flowUser,
            isHubMember: flowUser == nil)
    }

    mutating func add(_ types: [String], _ filters: JSONValue) -> String {
        var writer = ByteWriter(capacity: 16)
        Digest.random(4).withRawSpan { Hex.encode($0, into: &writer) }
        let id = "sub_" + writer.string()
        entries.append((id, EventSubscription(types: types, filter: EventFilter(filters))))
        return id
    }

    mutating func remove(_ id: String) { entries.removeAll { $0.id == id } }
}

extension Principal {
    /// The events it may see. Closed to whoever no rule lets in.
    var eventAccess: EventAccess { permission.events }
}

/// What a client of the hub asks for. Anything else is ignored, as the original does.
enum HubAction {
    case ping
    case metadata
    case subscribe([String], JSONValue)
    case unsubscribe(String)
    case resume(UInt64)
    case publish(JSONValue)
    case unknown

    /// A place that no log reaches: who names it gets a snapshot marked `resync`.
    static let nowhere = UInt64.max - 1

    /// A text frame: JSON with an `action`, or the bare word `ping`.
    init(_ message: RawSpan) {
        // The two that come again and again are known by sight, without a tree.
        let whole = ByteRange(offset: 0, count: message.byteCount)
        if message.equals(whole, "ping") || message.equals(whole, #"{"action":"ping"}"#)
            || message.equals(whole, #"{"action": "ping"}"#)
        {
            self = .ping
            return
        }
        guard let value = Self.object(message), let action = value["action"]?.string else {
            self = .unknown
            return
        }
        switch action {
        case "ping": self = .ping
        case "get_metadata": self = .metadata
        case "subscribe":
            let filters = value["filters"].flatMap { $0.object == nil ? nil : $0 }
            self = .subscribe(value["event_types"]?.strings ?? [], filters ?? [:])
        case "unsubscribe": self = .unsubscribe(value["subscription_id"]?.string ?? "")
        case "resume":
            self = .resume(value["since"]?.int.flatMap { UInt64(exactly: $0) } ?? Self.nowhere)
        case "publish": self = .publish(value)
        default: self = .unknown
        }
    }

    private static func object(_ message: RawSpan) -> JSONValue? {
        do throws(JSONError) {
            return try JSONValue(parsing: message)
        } catch {
            // Text that is not JSON is ignored: the protocol has no reply for it.
            return nil
        }
    }
}

extension ServiceEvent {
    /// For clients that see no protocol pings: a page shows by it that the connection lives.
    static let ping = ServiceEvent("ping", to: .everyone, data: [:], members: [:])
}
