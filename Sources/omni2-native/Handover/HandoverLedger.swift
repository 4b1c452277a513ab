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
    ) -> Principal? {
        access?.readmit(
            identity, peer: descriptor.flatMap(Sockets.peerCredentials), audience: audience)
    }
}

extension Access {
    /// The kind of credential that a principal has shown, what it is found again by, and what proves
    /// that it is still the same.
    func credential(of principal: Principal) -> (String, proof: [UInt8]) {
        switch principal.credential {
        case .none: return ("none", [])
        // Not the hash itself: whoever reads the hand-over learns nothing that Access compares.
        case .administratorToken: return ("administrator", Digest.sha256(settings.adminToken.bytes))
        case .operatorSession(let name):
            return (
                "operator:\(principal.expiresAt):\(name)",
                Digest.sha256(settings.adminToken.bytes)
            )
        case .unixUser(let user): return ("unix:\(user)", [])
        case .token(let id): return ("token:\(id)", [])
        case .session(let id): return ("session:\(id)", [])
        case .proxy(let user): return ("proxy:\(user)", [])
        case .webToken(let issuer, let subject):
            let scopes = principal.missingScopes.joined(separator: " ")
            return (
                (["jwt:\(principal.expiresAt)", scopes, issuer, subject]).joined(separator: "\n"),
                []
            )
        }
    }

    /// Somebody whom a predecessor had let in, as access is now; nil when the credential does not hold
    /// any more. The hand-over is a file of the daemon's own that nobody else can write.
    func readmit(
        _ identity: ParkedIdentity, peer: Sockets.PeerCredentials?, audience: Listener.Audience?
    ) -> Principal? {
        let parts = identity.credential.split(separator: ":", maxSplits: 1)
        let value = parts.count > 1 ? String(parts[1]) : ""
        switch parts.first ?? "" {
        case "none": return .anonymous
        case "operator":
            let words = value.split(separator: ":", maxSplits: 1)
            guard Digest.areEqual(identity.proof, Digest.sha256(settings.adminToken.bytes)),
                words.count == 2, let end = Int64(words[0])
            else { return nil }
            return current(OperatorSession(name: String(words[1]), expiresAt: end).principal)
        case "administrator":
            guard Digest.areEqual(identity.proof, Digest.sha256(settings.adminToken.bytes)) else {
                return nil
            }
            return Principal(id: identity.id, name: identity.name, role: .superAdmin)
        case "unix":
            guard let user = UInt32(value) else { return nil }
            // A session has no socket of its own: it is bound to the user id, which each of its
            // requests shows again.
            guard let peer else { return .unixUser(user) }
            let principal = localPrincipal(peer, audience)
            return principal?.id == identity.id ? principal : nil
        case "token":
            return owner(Int(value).flatMap(snapshot.token(id:)), { .token($0) }, identity)
        case "session":
            return owner(Int(value).flatMap(snapshot.session(id:)), { .session($0) }, identity)
        case "proxy": return current(stated(identity, .proxy(user: value)))
        case "jwt": return webToken(value, identity)
        default: return nil
        }
    }

    private func owner(
        _ entry: AccessSnapshot.Entry?, _ kind: (Int) -> Principal.Credential,
        _ identity: ParkedIdentity
    ) -> Principal? {
        guard let entry, entry.isValid(at: now), entry.person.user.isActive,
            entry.person.principalID == identity.id
        else { return nil }
        return entry.person.principal(kind(entry.id))
    }

    private func webToken(_ text: String, _ identity: ParkedIdentity) -> Principal? {
        let lines = text.split(separator: "\n", maxSplits: 3, omittingEmptySubsequences: false)
        guard lines.count == 4, let end = Int64(lines[0]) else { return nil }
        return current(
            stated(
                identity, .webToken(issuer: String(lines[2]), subject: String(lines[3])),
                missingScopes: lines[1].split(separator: " ").map(String.init), expiresAt: end))
    }

    /// What was known of somebody, for `current` to judge.
    private func stated(
        _ identity: ParkedIdentity, _ credential: Principal.Credential,
        missingScopes: [String] = [], expiresAt: Int64 = .max
    ) -> Principal {
        let prefix = "user:"
        let row = identity.id.hasPrefix(prefix) ? Int(identity.id.dropFirst(prefix.count)) : nil
        return Principal(
            id: identity.id, name: identity.name, role: .init(rawValue: identity.role),
            userID: row, credential: credential, permission: .nothing,
            missingScopes: missingScopes, expiresAt: expiresAt)
    }
}
