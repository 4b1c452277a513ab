internal import CShims.Cache
public import OmniCore

/// Handing the segment out: one HELLO in, one WELCOME with descriptors back, then the caller
/// closes the connection. Works on an accepted, connected `SOCK_SEQPACKET` socket and never blocks.
///
/// The segment goes out read-only. A process with the daemon's own uid could re-open it for
/// writing whatever its mode says, so such peers are refused unless that was configured.
public struct CacheAccess: Sendable {
    /// Allow peers that run as the daemon's own user (and root).
    public var allowsSameUser: Bool

    public init(allowsSameUser: Bool = false) { self.allowsSameUser = allowsSameUser }

    /// Who asked, for the journal.
    public struct Peer: Equatable, Sendable {
        public let uid: UInt32
        public let gid: UInt32
        public let pid: Int32
    }

    public enum Outcome: Equatable, Sendable {
        /// Nothing to read yet: call again when the socket is readable.
        case pending
        case welcomed(Peer)
        case refused(Peer, Refusal)
        /// The peer left, or the kernel failed: nothing was sent.
        case failed(SystemError)
    }

    public enum Refusal: Equatable, Sendable {
        case protocolUnknown
        case versionUnknown
        case sameUser
        /// The caller's policy said no.
        case forbidden
        /// There is no segment.
        case unavailable
    }

    /// Answers a connection that has become readable. `permits` is the caller's policy over the
    /// peer's credentials; file permissions of the socket were already passed.
    public func answer(
        _ connection: Int32, writer: CacheWriter?, at now: MonotonicTime,
        permits: (Peer) -> Bool = { _ in true }
    ) -> Outcome {
        var hello = omni2_hello()
        let size = MemoryLayout<omni2_hello>.size
        let received = unsafe omni2_receive(connection, &hello, size)
        guard received != 0 else { return .failed(SystemError("recv", Self.connectionReset)) }
        guard received > 0 else {
            return Int32(-received) == Self.wouldBlock
                ? .pending : .failed(SystemError("recv", Int32(-received)))
        }
        var (uid, gid, pid): (UInt32, UInt32, Int32) = (0, 0, 0)
        let credentials = unsafe omni2_peer(connection, &uid, &gid, &pid)
        guard credentials == 0 else { return .failed(SystemError("SO_PEERCRED", credentials)) }
        let peer = Peer(uid: uid, gid: gid, pid: pid)
        let understood = received == size && omni2_hello_is_valid(hello) != 0
        if let refusal = judge(peer, hello, understood: understood, permits: permits) {
            return refuse(connection, peer, refusal, writer: writer, at: now)
        }
        guard let writer else {
            return refuse(connection, peer, .unavailable, writer: nil, at: now)
        }
        return welcome(connection, peer, hello, writer, at: now)
    }

    private func judge(
        _ peer: Peer, _ hello: omni2_hello, understood: Bool, permits: (Peer) -> Bool
    ) -> Refusal? {
        if !understood { return .protocolUnknown }
        if hello.majors & (1 << UInt64(OMNI2_CACHE_MAJOR)) == 0 { return .versionUnknown }
        if !allowsSameUser, peer.uid == geteuid() { return .sameUser }
        return permits(peer) ? nil : .forbidden
    }

    private func welcome(
        _ connection: Int32, _ peer: Peer, _ hello: omni2_hello, _ writer: CacheWriter,
        at now: MonotonicTime
    ) -> Outcome {
        let segment: Int32
        do throws(SystemError) {
            segment = try writer.segment.readOnlyDescriptor()
        } catch {
            return .failed(error)
        }
        defer { close(segment) }
        let wantsArea = hello.features & UInt32(OMNI2_HELLO_WANTS_AREA) != 0
        let area = wantsArea ? writer.openReaderArea(for: peer.pid) : nil
        var message = reply(OMNI2_WELCOME_OK, at: now)
        message.segment_id = writer.identifier
        message.flags = area == nil ? 0 : UInt32(OMNI2_WELCOME_AREA)
        let sent = unsafe omni2_send_with_descriptors(
            connection, &message, MemoryLayout<omni2_welcome>.size, segment, area ?? -1)
        writer.countAttach(refused: false)
        return sent < 0 ? .failed(SystemError("sendmsg", Int32(-sent))) : .welcomed(peer)
    }

    private func refuse(
        _ connection: Int32, _ peer: Peer, _ refusal: Refusal, writer: CacheWriter?,
        at now: MonotonicTime
    ) -> Outcome {
        let status =
            switch refusal {
            case .protocolUnknown: OMNI2_WELCOME_PROTOCOL
            case .versionUnknown: OMNI2_WELCOME_VERSION
            case .sameUser: OMNI2_WELCOME_SAME_USER
            case .forbidden: OMNI2_WELCOME_FORBIDDEN
            case .unavailable: OMNI2_WELCOME_UNAVAILABLE
            }
        var message = reply(status, at: now)
        writer?.countAttach(refused: true)
        let sent = unsafe omni2_send_with_descriptors(
            connection, &message, MemoryLayout<omni2_welcome>.size, -1, -1)
        return sent < 0
            ? .failed(SystemError("sendmsg", Int32(-sent))) : .refused(peer, refusal)
    }

    private func reply(_ status: omni2_welcome_status, at now: MonotonicTime) -> omni2_welcome {
        var message = omni2_welcome_make()
        message.status = status.rawValue
        message.clock = now.nanoseconds
        return message
    }

    private static let wouldBlock: Int32 = 11
    private static let connectionReset: Int32 = 104
}

extension CacheWriter {
    fileprivate func openReaderArea(for process: Int32) -> Int32? {
        if readers.isFull { collectFromReaders() }
        let area = readers.open(for: process)
        publish(OMNI2_STAT_READERS, readers.count)
        return area
    }

    fileprivate func countAttach(refused: Bool) {
        count(refused ? OMNI2_STAT_ATTACHES_REFUSED : OMNI2_STAT_ATTACHES)
    }
}
