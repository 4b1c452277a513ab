import OmniCore
import OmniIO

/// The cookie of somebody who logged in with the administrator's token. There is no row of `users` that
/// a session could hang on, so the cookie says by itself until when it holds, signed with the token's
/// hash: it outlives a restart, and ends when the token is changed.
///
/// `omni2_ses_op.EXPIRY.NAME.SIGNATURE`, the expiry in seconds since 1970.
struct OperatorSession: Hashable, Sendable {
    let name: String
    /// Microseconds since 1970 UTC.
    let expiresAt: Int64

    static let prefix = SecretText.sessionPrefix + "op."
    /// A working day.
    static let seconds = 12 * 3600

    private static func signature(_ text: String, _ token: SecretHash) -> String {
        var writer = ByteWriter(capacity: 64)
        Digest.hmacSHA256(Array(text.utf8), key: Array("session:\(token.hexadecimal)".utf8))
            .withRawSpan { Hex.encode($0, into: &writer) }
        return writer.string()
    }

    /// A new one, and the cookie's value.
    static func make(at now: Int64, _ token: SecretHash) -> (OperatorSession, secret: String) {
        let expiry = now / 1_000_000 + Int64(seconds)
        let name = SecretText.make("")
        let text = "\(prefix)\(expiry).\(name)"
        let session = OperatorSession(name: name, expiresAt: expiry * 1_000_000)
        return (session, "\(text).\(signature(text, token))")
    }

    /// Nil for what is not signed by us, whatever it says.
    init?(_ secret: String, _ token: SecretHash) {
        guard secret.hasPrefix(Self.prefix), let dot = secret.lastIndex(of: ".") else { return nil }
        let (text, signature) = (secret[..<dot], secret[secret.index(after: dot)...])
        let wanted = Self.signature(String(text), token)
        guard Digest.areEqual(Array(signature.utf8), Array(wanted.utf8)) else { return nil }
        let parts = text.dropFirst(Self.prefix.count).split(separator: ".")
        guard parts.count == 2, let expiry = Int64(parts[0]) else { return nil }
        name = String(parts[1])
        expiresAt = expiry * 1_000_000
    }

    init(name: String, expiresAt: Int64) {
        self.name = name
        self.expiresAt = expiresAt
    }

    var principal: Principal {
        Principal(
            id: "admin", name: "admin", role: .superAdmin, credential: .operatorSession(name),
            permission: .everything, expiresAt: expiresAt)
    }
}

/// Sessions of the operator's that were logged out before their time, until it has come.
struct EndedSessions {
    private var expiries: [String: Int64] = [:]
    /// Beyond it the one that ends first is forgotten.
    static let countMax = 1000

    mutating func insert(_ session: OperatorSession, at now: Int64) {
        expiries = expiries.filter { $0.value > now }
        if expiries.count >= Self.countMax, let first = expiries.min(by: { $0.value < $1.value }) {
            expiries[first.key] = nil
        }
        expiries[session.name] = session.expiresAt
    }

    func contains(_ name: String) -> Bool { expiries[name] != nil }
}
