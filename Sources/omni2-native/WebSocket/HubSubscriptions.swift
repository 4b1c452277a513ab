import OmniCore
import OmniIO

/// The subscriptions of one connection, by the ids its client knows them by.
struct HubSubscriptions {
    private struct Entry {
        let number: UInt32
        let subscription: SharedSubscription

        /// What the client calls it.
        var id: String {
            let digits = String(number, radix: 16)
            return "sub_" + String(repeating: "0", count: 8 - digits.utf8.count) + digits
        }
    }

    private var entries: [Entry] = []

    /// By their ids, in the order in which they came.
    var all: [(id: String, value: EventSubscription)] {
        entries.map { ($0.id, $0.subscription.value) }
    }

    var count: Int { entries.count }
    var ids: [String] { entries.map(\.id) }

    /// `flowUser`: for a connection that watches the flows of one user and nothing else.
    func filterClass(_ access: EventAccess, flowUser: Int64? = nil) -> FilterClass {
        FilterClass(
            subscriptions: entries.map(\.subscription.value), access: access, flowUser: flowUser,
            isHubMember: flowUser == nil)
    }

    mutating func add(_ subscription: SharedSubscription) -> String {
        let number = Digest.random(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let entry = Entry(number: number, subscription: subscription)
        // Most have one: an array that grows by itself would have room for more.
        if entries.isEmpty { entries.reserveCapacity(1) }
        entries.append(entry)
        return entry.id
    }

    /// One that a predecessor gave this id to.
    mutating func restore(_ id: String, _ subscription: SharedSubscription) {
        guard let number = UInt32(id.dropFirst("sub_".utf8.count), radix: 16) else { return }
        entries.append(Entry(number: number, subscription: subscription))
    }

    mutating func remove(_ id: String) { entries.removeAll { $0.id == id } }
}

/// One wish, held once however many connections have it.
final class SharedSubscription {
    let value: EventSubscription
    fileprivate init(_ value: EventSubscription) { self.value = value }
}

/// The wishes in use, so that equal ones are the same object.
struct SharedSubscriptions {
    private var known: [EventSubscription: SharedSubscription] = [:]
    /// At so many, those that nobody has any more are forgotten.
    private var sweepCount = 64

    mutating func share(_ types: [String], _ filters: JSONValue = [:]) -> SharedSubscription {
        let value = EventSubscription(types: types, filter: EventFilter(filters))
        if let shared = known[value] { return shared }
        if known.count >= sweepCount { sweep() }
        let shared = SharedSubscription(value)
        known[value] = shared
        return shared
    }

    private mutating func sweep() {
        for value in Array(known.keys) {
            // Nobody but this table.
            if isKnownUniquelyReferenced(&known[value]) { known[value] = nil }
        }
        sweepCount = max(64, known.count * 2)
    }
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
    /// Nil when it is not what `PublishRequest.rule` says.
    case publish(PublishRequest?)
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
        guard let root = JSONScanner.object(in: message),
            let action = JSONScanner.string(
                JSONScanner.member("action", of: root, in: message), in: message)
        else {
            // Text that is not JSON is ignored: the protocol has no reply for it.
            self = .unknown
            return
        }
        // Programs send events by the thousand: those pass without a tree.
        self =
            action == "publish"
            ? .publish(PublishRequest(root, in: message)) : HubAction(action, of: message)
    }

    private init(_ action: String, of message: RawSpan) {
        guard let value = Self.tree(message) else {
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
        default: self = .unknown
        }
    }

    private static func tree(_ message: RawSpan) -> JSONValue? {
        do throws(JSONError) {
            return try JSONValue(parsing: message)
        } catch {
            // JSON, but of too many values: nothing that a client would have to say.
            return nil
        }
    }
}

extension ServiceEvent {
    /// For clients that see no protocol pings: a page shows by it that the connection lives.
    static let ping = ServiceEvent("ping", to: .everyone, data: [:], members: [:])
}
