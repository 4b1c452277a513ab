import OmniCore
import OmniIO

/// Who holds what is handed over: written down by one daemon, and asked anew by the next, whose
/// configuration and tokens may be others.
final class HandoverLedger {
    private let access: Access?

    init(_ access: Access) { self.access = access }

    /// On another ring, which knows nobody's credential: the main ring writes down who it was.
    init() { access = nil }

    func identity(of principal: Principal) -> ParkedIdentity {
        let (credential, proof) = access?.credential(of: principal) ?? ("", [])
        return ParkedIdentity(
            id: principal.id, name: principal.name, role: principal.role.rawValue,
            credential: credential, proof: proof)
    }

    /// Nil when the credential does not hold any more.
    func principal(
        _ identity: ParkedIdentity, on descriptor: Int32? = nil,
        audience: Listener.Audience? = nil
    ) async -> Principal? {
        await access?.readmit(
            identity, peer: descriptor.flatMap(Sockets.peerCredentials), audience: audience)
    }
}

extension Access {
    private enum Credential {
        static let none = "none"
        static let administrator = "administrator"
        static let local = "local"
    }

    /// The kind of credential that a principal has shown, and what proves that it is still the same.
    func credential(of principal: Principal) -> (String, proof: [UInt8]) {
        if principal == .anonymous { return (Credential.none, []) }
        if principal.id.hasPrefix("uid:") { return (Credential.local, []) }
        // Not the hash itself: whoever reads the hand-over learns nothing that Access compares.
        return (Credential.administrator, Digest.sha256(adminTokenHash))
    }

    func readmit(
        _ identity: ParkedIdentity, peer: Sockets.PeerCredentials?, audience: Listener.Audience?
    ) async -> Principal? {
        switch identity.credential {
        case Credential.none: return .anonymous
        case Credential.administrator:
            guard Digest.areEqual(identity.proof, Digest.sha256(adminTokenHash)) else {
                return nil
            }
            return Principal(id: identity.id, name: identity.name, role: .superAdmin)
        case Credential.local:
            // A session has no socket of its own: it is bound to the user id, which each of its
            // requests shows again.
            guard let peer else {
                return Principal(id: identity.id, name: identity.name, role: .superAdmin)
            }
            let principal = localPrincipal(peer, audience)
            return principal?.id == identity.id ? principal : nil
        default: return nil
        }
    }
}
