internal import CShims.Linux
internal import Glibc

/// Making and asking sockets: the calls that do not wait.
public enum Sockets {
    /// A listening stream socket. A path that a dead daemon left behind is replaced; one on which
    /// somebody still answers is EADDRINUSE.
    public static func listen(
        on address: SocketAddress, backlog: Int32 = 4096, mode: UInt32 = 0o660,
        packets: Bool = false
    ) throws(SystemError) -> Descriptor {
        let kind = packets ? SOCK_SEQPACKET : SOCK_STREAM
        let type = Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let raw = socket(address.family, type, 0)
        guard raw >= 0 else { throw SystemError("socket", errno) }
        let descriptor = Descriptor(raw)
        if case .path(let path) = address {
            if path.hasPrefix("/") { try removeDeadSocket(path, address) }
        } else {
            // Without it a restart within a minute of the last connection cannot bind.
            _ = omni2_socket_option(raw, SOL_SOCKET, SO_REUSEADDR, 1)
        }
        let storage = unsafe address.copyOut()
        defer { unsafe storage.deallocate() }
        let bound = unsafe omni2_bind(raw, storage, address.length)
        guard bound == 0 else { throw SystemError("bind", bound) }
        if case .path(let path) = address, path.hasPrefix("/"), unsafe chmod(path, mode) != 0 {
            throw SystemError("chmod", errno)
        }
        guard Glibc.listen(raw, backlog) == 0 else { throw SystemError("listen", errno) }
        return descriptor
    }

    /// The next peer that waits, nil when there is none. The descriptor does not block.
    public static func acceptNow(_ listener: Int32) throws(SystemError) -> Int32? {
        let peer = omni2_accept_now(listener)
        if peer >= 0 { return peer }
        switch -peer {
        case EAGAIN, ECONNABORTED, EINTR: return nil
        default: throw SystemError("accept4", peer)
        }
    }

    /// Changes the group of a socket's path, so that its members may connect.
    public static func setGroup(_ path: String, named group: String) throws(SystemError) {
        let status = unsafe omni2_set_group(path, group)
        if status < 0 { throw SystemError("chown", status) }
    }

    private static func removeDeadSocket(
        _ path: String, _ address: SocketAddress
    ) throws(SystemError) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & 0o170000 == 0o140000 else {
            throw SystemError("bind", EADDRINUSE)
        }
        for kind in [SOCK_STREAM, SOCK_SEQPACKET] {
            let probe = socket(AF_UNIX, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard probe >= 0 else { throw SystemError("socket", errno) }
            defer { close(probe) }
            let storage = unsafe address.copyOut()
            defer { unsafe storage.deallocate() }
            if unsafe omni2_connect(probe, storage, address.length) == 0 {
                throw SystemError("bind", EADDRINUSE)
            }
        }
        // A failure shows at once, in bind.
        _ = unsafe unlink(path)
    }

    /// An unconnected stream socket for `address`.
    public static func stream(for address: SocketAddress) throws(SystemError) -> Descriptor {
        let raw = socket(
            address.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw SystemError("socket", errno) }
        return Descriptor(raw)
    }

    public static func localAddress(of descriptor: Int32) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        guard unsafe omni2_local_name(descriptor, &storage, &length) == 0 else { return nil }
        return SocketAddress(storage, length: length)
    }

    /// Nil when the peer has gone.
    public static func peerAddress(of descriptor: Int32) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        guard unsafe omni2_peer_name(descriptor, &storage, &length) == 0 else { return nil }
        return SocketAddress(storage, length: length)
    }

    /// Who is at the other end of a Unix socket.
    public struct PeerCredentials: Hashable, Sendable {
        public let process: Int32
        public let user: UInt32
        public let group: UInt32

        public init(process: Int32, user: UInt32, group: UInt32) {
            self.process = process
            self.user = user
            self.group = group
        }
    }

    public static func peerCredentials(of descriptor: Int32) -> PeerCredentials? {
        var credentials = omni2_peer_identity()
        guard unsafe omni2_peer_credentials(descriptor, &credentials) == 0 else { return nil }
        return PeerCredentials(
            process: credentials.process, user: credentials.user, group: credentials.group)
    }

    /// The kernel's own name of a socket, the same in every process that holds it; nil for what is
    /// no socket.
    public static func cookie(of descriptor: Int32) -> UInt64? {
        let cookie = omni2_socket_cookie(descriptor)
        return cookie == 0 ? nil : cookie
    }

    /// Small answers leave at once: replies are written whole, so Nagle could only delay them.
    public static func setNoDelay(_ descriptor: Int32) {
        // Fails on Unix sockets, where there is nothing to delay.
        _ = omni2_socket_option(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// Bounds what the kernel keeps for a peer that has stopped reading.
    public static func setSendBuffer(_ descriptor: Int32, bytes: Int32) {
        // The kernel may round; a refusal leaves its default, which is safe.
        _ = omni2_socket_option(descriptor, SOL_SOCKET, SO_SNDBUF, bytes)
    }

    /// For a peer that is turned away: its send buffer is empty, so a short text fits or is lost.
    public static func sendWithoutWaiting(_ descriptor: Int32, _ text: StaticString) {
        _ = unsafe Glibc.send(
            descriptor, text.utf8Start, text.utf8CodeUnitCount,
            Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    }

    /// Ends our direction: the peer reads what was sent, then the end.
    public static func shutdownWriting(_ descriptor: Int32) {
        // ENOTCONN means that the peer was faster.
        _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Ends both directions: whatever waits on the socket completes.
    public static func shutdown(_ descriptor: Int32) {
        // ENOTCONN means that the peer was faster.
        _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
