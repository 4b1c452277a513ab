import OmniCore

/// What the hub of a ring of its own asks of the main ring, which alone knows the servers, numbers
/// the events and counts the seats.
protocol HubOffice: AnyObject {
    /// Answered by `statusArrived`, with the same access.
    func wantsStatus(_ peer: HubPeerID, _ access: EventAccess)
    /// Answered by `tell`; false when too many wait for that.
    func wantsPublished(_ request: PublishRequest, _ peer: HubPeerID) -> Bool
    func left(_ principal: Principal, _ address: String?)
    func lagged(_ host: String?, missed: UInt64)
}

/// Names a subscriber of one hub across rings and time.
struct HubPeerID: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32
}
