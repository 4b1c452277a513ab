import OmniCore
import OmniIO

/// For a peer whose connection was handed over and cannot be gone on with: the reason, as far as it
/// may be said at this place of the stream, then an orderly end.
final class Farewell: Conversation {
    private static let time = Duration.seconds(2)

    /// `reason` is for a WebSocket; others cannot be told.
    static func say(
        to peer: ParkedPeer, at door: Door, _ code: WebSocketCloseCode = .serviceRestart,
        _ reason: StaticString = "connect again"
    ) {
        guard let connection = door.restore(peer.descriptor, peer.listener, Farewell()) else {
            return
        }
        connection.send(peer.connection.unsent)
        say(to: connection, HandoverNames.Batch(talk: peer.connection.talk), code, reason)
    }

    static func say(
        to connection: Connection, _ batch: HandoverNames.Batch,
        _ code: WebSocketCloseCode = .serviceRestart, _ reason: StaticString = "connect again"
    ) {
        switch batch {
        case .webSocket:
            connection.send(reserving: 128) {
                WebSocketWriter.close(code, reason: reason, into: &$0)
            }
            connection.finish()
            connection.setDeadline(connection.io.now + time)
            connection.armReceive()
        case .requests: connection.finish()
        // Inside of a frame, or of an answer, every word would be read as a part of it.
        case .cutWebSocket, .stream: connection.abort()
        }
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer, on connection: Connection) {}
    func peerEnded(on connection: Connection) { connection.abort() }
    func drained(on connection: Connection) {}
    func deadlinePassed(on connection: Connection) { connection.abort() }
    func stopping(on connection: Connection) { connection.abort() }
    func ended(on connection: Connection) {}
}
