import OmniCore
import OmniIO

/// The Unix socket where sibling processes get the shared segment: one question, one answer with the
/// read-only descriptor, then the connection ends. See `CacheAccess` for the protocol.
final class CacheDoor {
    private let io: any IO
    private let log: Log
    private let cache: Cache
    private let access: CacheAccess
    private let descriptor: Int32
    private let isActivated: Bool
    private var isClosed = false
    private var attached = 0

    /// How long a process may take to say what it wants.
    private static let helloTime = Duration.seconds(1)
    private static let waitingMax = 256

    /// Owns `descriptor`, a listening `SOCK_SEQPACKET` socket, unless systemd passed it.
    init(
        io: any IO, descriptor: Int32, isActivated: Bool, cache: Cache, allowsSameUser: Bool,
        log: Log
    ) {
        self.io = io
        self.log = log
        self.cache = cache
        self.descriptor = descriptor
        self.isActivated = isActivated
        access = CacheAccess(allowsSameUser: allowsSameUser)
    }

    func start() { io.spawn { await self.acceptAll() } }

    func close() {
        isClosed = true
        if !isActivated { Sockets.shutdown(descriptor) }
    }

    private func acceptAll() async {
        while !isClosed {
            do throws(SystemError) {
                _ = try await io.readiness(of: descriptor, .readable, until: .distantFuture)
                if isClosed { break }
                while let peer = try Sockets.acceptNow(descriptor) { greet(peer) }
            } catch {
                log.warning(
                    "accepting cache readers failed, retrying in 1 s", fields: ["error": error])
                await io.sleep(until: io.now + .seconds(1))
            }
        }
        if !isActivated { io.close(descriptor) }
    }

    private func greet(_ peer: Int32) {
        guard attached < Self.waitingMax else { return io.close(peer) }
        attached += 1
        io.spawn {
            await self.answer(peer)
            self.attached -= 1
            self.io.close(peer)
        }
    }

    private func answer(_ peer: Int32) async {
        do throws(SystemError) {
            _ = try await io.readiness(of: peer, .readable, until: io.now + Self.helloTime)
        } catch {
            // A process that connects and says nothing: it has had its time.
            return
        }
        switch access.answer(peer, writer: cache.published, at: BootClock.now()) {
        case .welcomed(let reader):
            log.debug("cache reader attached", fields: ["pid": reader.pid, "uid": reader.uid])
        case .refused(let reader, let why):
            log.warning(
                "cache reader refused", id: .cacheReaderRefused,
                fields: ["pid": reader.pid, "uid": reader.uid, "reason": "\(why)"])
        case .failed(let error): log.debug("cache reader lost", fields: ["error": error])
        case .pending: break
        }
    }
}
