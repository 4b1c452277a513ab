import OmniIO

/// A listening socket and who may be behind its peers.
final class Listener {
    enum Audience {
        /// Anybody who reaches the address: a credential decides.
        case network
        /// Peers of the Unix socket: their user id may be credential enough.
        case local
    }

    let descriptor: Int32
    let address: SocketAddress
    let audience: Audience
    /// Handed over by systemd, which keeps it when we go.
    let isActivated: Bool

    init(descriptor: Int32, address: SocketAddress, isActivated: Bool) {
        self.descriptor = descriptor
        self.address = address
        self.isActivated = isActivated
        audience = address.isPath ? .local : .network
    }
}
