import OmniCore
import OmniIO

/// What is spoken on a connection: HTTP first, WebSocket after an upgrade.
protocol Conversation: AnyObject {
    /// Lent until return; may be changed in place (unmasking).
    func received(_ bytes: UnsafeMutableRawBufferPointer, on connection: Connection)
    /// The peer will send no more.
    func peerEnded(on connection: Connection)
    /// Everything handed to the connection has been taken by the kernel.
    func drained(on connection: Connection)
    /// Bytes of somebody else's memory are being sent on the connection: its own wait.
    var isAloft: Bool { get }
    func deadlinePassed(on connection: Connection)
    /// The daemon stops: finish at once if idle, else after what is being done.
    func stopping(on connection: Connection)
    /// The connection is gone; nothing may be sent any more. Called once.
    func ended(on connection: Connection)
}

extension Conversation {
    var isAloft: Bool { false }
}
