/// A connection on its way to another ring: gathers what still arrives until the kernel has let go
/// of the socket here.
final class Departure: Conversation {
    /// The socket with what arrived last, or nil when the peer was faster.
    private var left: ((Int32, [UInt8])?) -> Void
    private var early: [UInt8]

    init(early: [UInt8], left: @escaping ((Int32, [UInt8])?) -> Void) {
        self.early = early
        self.left = left
    }

    /// The socket belongs to whoever is told.
    func departed(_ descriptor: Int32) { tell((descriptor, early)) }

    func received(_ bytes: UnsafeMutableRawBufferPointer, on connection: Connection) {
        unsafe early.append(contentsOf: bytes)
    }

    /// The other ring will read the end once more.
    func peerEnded(on connection: Connection) {}
    func drained(on connection: Connection) {}
    func deadlinePassed(on connection: Connection) { connection.abort() }
    func stopping(on connection: Connection) { connection.abort() }
    func ended(on connection: Connection) { tell(nil) }

    private func tell(_ outcome: (Int32, [UInt8])?) {
        let left = left
        self.left = { _ in }
        left(outcome)
    }
}
