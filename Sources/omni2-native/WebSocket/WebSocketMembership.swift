import OmniCore

/// A peer that has been let in, before it speaks WebSocket: it may still change rings.
struct WebSocketNewcomer: Sendable {
    let principal: Principal
    /// For limits per address; nil where there are none.
    var address: String?
    /// Our deflate window, 0 without compression.
    var deflateBits: UInt8 = 0
    /// The last event the peer saw before it came back.
    var lastSeen: UInt64?
    /// Subscribed from the first moment: what `lastSeen` brings back is judged by it.
    var types: [String] = []
    /// Watches the flows of this user and nothing else.
    var flowUser: Int64?
    /// `initial_status`, where another ring has made it.
    var status: [UInt8]?

    var hasWishes: Bool { lastSeen != nil || !types.isEmpty || status != nil }
}

/// What connections with the same credential, from the same address where that counts, share.
final class WebSocketMembership {
    fileprivate struct Key: Hashable {
        let principal: Principal
        let address: String?
        let flowUser: Int64?
        let application: ObjectIdentifier
    }

    let principal: Principal
    let address: String?
    /// Set for those who watch the flows of one user and nothing else.
    let flowUser: Int64?
    let application: any WebSocketApplication
    let shared: WebSocketShared
    /// The events they see now; the hub follows changes of permission.
    var access: EventAccess
    fileprivate var connections = 0

    fileprivate init(_ key: Key, _ application: any WebSocketApplication, _ shared: WebSocketShared)
    {
        principal = key.principal
        address = key.address
        flowUser = key.flowUser
        access = key.principal.eventAccess
        self.application = application
        self.shared = shared
    }

    fileprivate var key: Key {
        Key(
            principal: principal, address: address, flowUser: flowUser,
            application: ObjectIdentifier(application))
    }
}

/// What all WebSocket connections of a ring share.
final class WebSocketShared {
    let limits: WebSocketLimits
    let compression = MessageCompression()
    private var memberships: [WebSocketMembership.Key: WebSocketMembership] = [:]

    init(limits: WebSocketLimits) { self.limits = limits }

    func join(
        _ newcomer: WebSocketNewcomer, _ application: any WebSocketApplication
    ) -> WebSocketMembership {
        let key = WebSocketMembership.Key(
            principal: newcomer.principal, address: newcomer.address,
            flowUser: newcomer.flowUser, application: ObjectIdentifier(application))
        let membership =
            memberships[key] ?? WebSocketMembership(key, application, self)
        memberships[key] = membership
        membership.connections += 1
        return membership
    }

    func leave(_ membership: WebSocketMembership) {
        membership.connections -= 1
        if membership.connections == 0 { memberships[membership.key] = nil }
    }
}
