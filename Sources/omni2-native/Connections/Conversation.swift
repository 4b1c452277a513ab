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
    /// The kernel took `count` bytes of the window given to `Connection.fly`.
    func flown(_ count: Int, on connection: Connection)
    func deadlinePassed(on connection: Connection)
    /// The daemon stops: finish at once if idle, else after what is being done.
    func stopping(on connection: Connection)
    /// The connection is gone; nothing may be sent any more. Called once.
    func ended(on connection: Connection)
}
