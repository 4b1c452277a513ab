import OmniCore
import OmniIO

/// Decides who may come in. One place; every route, MCP method and socket asks here.
///
/// The administrator's token is kept as its SHA-256 only, and compared in constant time. On the
/// Unix socket root, and the daemon's own user, are administrators by their user id.
final class Access {
    enum Denial: Error {
        /// No credential: 401 with a challenge.
        case missing
        /// A credential that is not ours.
        case invalid
    }

    let adminTokenHash: [UInt8]
    private let ownUser: UInt32
    private let log: Log

    init(adminTokenHash: [UInt8], ownUser: UInt32, log: Log) {
        self.adminTokenHash = adminTokenHash
        self.ownUser = ownUser
        self.log = log
    }

    func authenticate(_ exchange: HTTPExchange) throws(Denial) -> Principal {
        if let token = Self.bearerToken(exchange.request) {
            return try principal(token: token, exchange)
        }
        if let principal = localPrincipal(exchange) { return principal }
        throw .missing
    }

    private func principal(token: String, _ exchange: HTTPExchange) throws(Denial) -> Principal {
        if Digest.areEqual(Digest.sha256(Array(token.utf8)), adminTokenHash) {
            return Principal(id: "admin", name: "admin", role: .superAdmin)
        }
        log.warning(
            "refused a token that is not ours", id: .accessDenied,
            fields: [
                "peer": exchange.peerAddress?.host, "path": exchange.request.path,
                "request_id": exchange.requestID,
            ])
        throw .invalid
    }

    private func localPrincipal(_ exchange: HTTPExchange) -> Principal? {
        guard let peer = exchange.peerCredentials else { return nil }
        return localPrincipal(peer, exchange.listener?.audience)
    }

    func localPrincipal(
        _ peer: Sockets.PeerCredentials, _ audience: Listener.Audience?
    ) -> Principal? {
        switch audience {
        case .administrators: break
        case .local where peer.user == 0 || peer.user == ownUser: break
        case .local, .network, nil: return nil
        }
        return Principal(id: "uid:\(peer.user)", name: "uid \(peer.user)", role: .superAdmin)
    }

    /// RFC 6750 §2.1: the scheme in any case, one space or more, the token.
    static func bearerToken(_ request: HTTPRequest) -> String? {
        request.withHead { head, bytes in
            // Every request comes by here, so it looks at bytes. The value has no blanks around it.
            guard let value = head.value(of: "Authorization", in: bytes),
                let space = bytes.firstOffset(
                    of: UInt8(ascii: " "), from: value.offset, to: value.end),
                bytes.equalsIgnoringCase(
                    ByteRange(offset: value.offset, count: space - value.offset), "bearer")
            else { return nil }
            var start = space
            while bytes[start] == UInt8(ascii: " ") { start += 1 }
            return bytes.string(ByteRange(offset: start, count: value.end - start))
        }
    }
}
