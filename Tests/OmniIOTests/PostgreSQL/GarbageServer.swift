import Glibc
import OmniIO

/// Answers each connection with the same bytes, whatever it asks, and keeps it open.
final class GarbageServer: Sendable {
    private let listener: Int32
    let url: String

    init(answer: String) throws {
        let socket = try Sockets.listen(on: SocketAddress("127.0.0.1:0")!)
        guard let port = Sockets.localAddress(of: socket.raw)?.port else {
            throw SystemError("getsockname", 0)
        }
        url = "postgresql://omni@127.0.0.1:\(port)/omni"
        listener = socket.take()
        let listener = listener
        try EventLoop.startThread {
            // Ends with the listener.
            while true {
                let next = Result { try Sockets.acceptNow(listener) }
                guard case .success(let peer) = next else { return }
                guard let peer else {
                    var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
                    unsafe poll(&ready, 1, 1000)
                    continue
                }
                let bytes = Array(answer.utf8)
                _ = unsafe send(peer, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }
}
