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
    /// A successor can go on with it; else it ends by `stopping`.
    var isParkable: Bool { get }
    /// What to hand over, and bytes received that the successor has to read first. Nil: the
    /// conversation is about to end.
    func park(on connection: Connection, _ ledger: HandoverLedger) -> ParkedTalk?
    /// A request that is being answered: the hand-over waits for it, within limits.
    var requestUnderWay: HTTPExchange? { get }
    /// The connection is gone; nothing may be sent any more. Called once.
    func ended(on connection: Connection)
}

extension Conversation {
    var isAloft: Bool { false }
    var requestUnderWay: HTTPExchange? { nil }
    var isParkable: Bool { false }
    func park(on connection: Connection, _ ledger: HandoverLedger) -> ParkedTalk? { nil }
}
