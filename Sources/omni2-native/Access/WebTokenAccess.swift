import OmniCore
import OmniIO

/// From a verified web token to somebody: a row of `users` where the token names one, otherwise the
/// role it claims.
extension Access {
    func principal(
        webToken text: String, _ hash: SecretHash, _ exchange: HTTPExchange
    ) throws(Denial) -> Principal {
        let verified: WebTokens.Verified
        do throws(WebTokens.Refusal) {
            verified = try webTokens.verify(
                text, hash, resources: resourceNames(exchange))
        } catch {
            switch error {
            case .unknownKey: throw .keysNeeded
            case .wrong(let why): throw refuse("a JSON web token: \(why)", exchange)
            }
        }
        if !isLoaded { throw .notReady }
        note(expiry: verified.expiresAt)
        return try principal(verified)
    }

    private func principal(_ verified: WebTokens.Verified) throws(Denial) -> Principal {
        let claims = verified.claims
        let issuer = claims["iss"]?.string ?? (verified.isOurs ? "shared-secret" : "")
        let subject = claims["sub"]?.string ?? ""
        let credential = Principal.Credential.webToken(issuer: issuer, subject: subject)
        let missing = settings.scopes.filter { !WebTokenRules.scopes(claims).contains($0) }
        if let person = person(claims, isOurs: verified.isOurs) {
            guard person.user.isActive else { throw .forbidden("This account is not active.") }
            return person.principal(
                credential, missingScopes: missing, expiresAt: verified.expiresAt)
        }
        let isDeparted = verified.isOurs && Int(subject).map(departed.contains) ?? false
        guard !isDeparted, let role = role(claims),
            let permission = snapshot.permission(ofRole: role)
        else {
            throw .forbidden("The token names neither a person nor a role that is known here.")
        }
        return Principal(
            id: "jwt:\(issuer):\(subject)",
            name: claims["email"]?.string ?? claims["username"]?.string ?? subject,
            role: .init(rawValue: role), credential: credential, permission: permission,
            missingScopes: missing, expiresAt: verified.expiresAt)
    }

    /// The number in `sub` is a user's id only where we share the secret with who made it: another
    /// issuer counts its own people.
    private func person(_ claims: JSONValue, isOurs: Bool) -> Person? {
        if isOurs, let id = claims["sub"]?.string.flatMap({ Int($0) }) {
            return snapshot.person(id)
        }
        var names = ["username", "preferred_username"].compactMap { claims[$0]?.string }
        // An address that nobody has checked could be anybody's.
        if claims["email_verified"]?.bool != false {
            names += [claims["email"]?.string].compactMap { $0 }
        }
        return names.lazy.compactMap { self.snapshot.person(named: $0) }.first
            ?? claims["sub"]?.string.flatMap { Int($0) == nil ? snapshot.person(named: $0) : nil }
    }

    private func role(_ claims: JSONValue) -> String? {
        let value = claims[webTokens.settings.roleClaim]
        let names = value?.strings ?? value?.string.map { [$0] } ?? []
        return names.first { snapshot.permission(ofRole: $0) != nil }
    }

    /// What an audience may call us: the resource that is configured, or the address that was used.
    func resourceNames(_ exchange: HTTPExchange) -> [String] {
        let origin = ResourceMetadata.origin(exchange, settings)
        return [settings.resource, origin, origin + "/mcp"].compactMap { $0 }
    }
}
