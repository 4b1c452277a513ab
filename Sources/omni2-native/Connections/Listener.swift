import OmniIO

/// A listening socket and who may be behind its peers.
final class Listener {
    enum Audience {
        /// Anybody who reaches the address: a credential decides.
        case network
        /// Peers of the Unix socket: their user id may be credential enough.
        case local
        /// The socket unit for administrators: its group decided who could connect at all, and
        /// inside the unit's user namespace the members' own ids cannot be seen.
        case administrators
    }

    let descriptor: Int32
    let address: SocketAddress
    let audience: Audience
    /// Handed over by systemd, which keeps it when we go.
    let isActivated: Bool

    init(
        descriptor: Int32, address: SocketAddress, isActivated: Bool, audience: Audience? = nil
    ) {
        self.descriptor = descriptor
        self.address = address
        self.isActivated = isActivated
        self.audience = audience ?? (address.isPath ? .local : .network)
    }

    /// Nobody comes here by a host name.
    var isLocal: Bool { audience != .network }
}
