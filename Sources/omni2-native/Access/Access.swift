import OmniCore
import OmniIO

/// Who may come in and what they may do: the one place that routes, MCP methods, sockets, limits and
/// the chat ask. Answers come from memory, so that asking never waits; `AccessKeeper` keeps the
/// memory true.
///
/// A request is let in by the first of: the identity a trusted proxy states, a bearer token (the
/// administrator's, an opaque one, a JSON web token), a person's session, the peer's user id on a
/// Unix socket. What is shown and wrong is refused; it never falls through to the next.
final class Access {
    enum Denial: Error {
        /// No credential: 401 with a challenge.
        case missing
        /// A credential that is not ours, or no longer.
        case invalid(String)
        /// The credential is good and its owner may not come in.
        case forbidden(String)
        /// The people's tables have never been read.
        case notReady
        /// Too many wrong credentials from there.
        case slowedDown(Duration)
        /// A web token names a key that is not known: read the keys and ask again.
        case keysNeeded
    }

    struct Settings {
        var adminToken: SecretHash
        var ownUser: UInt32
        var proxies = TrustedProxies([])
        /// The URL by which clients know us; nil: whatever they use.
        var resource: String?
        var authorizationServers: [String] = []
        /// Scopes that a web token needs for MCP.
        var scopes: [String] = []
    }

    private let io: any IO
    let settings: Settings
    private let log: Log
    private(set) var snapshot = AccessSnapshot(AccessTables())
    /// The tables have been read at least once.
    private(set) var isLoaded = false
    let rates: RequestRates
    let costs: DailyCosts
    let audit: Audit
    let webTokens: WebTokens
    /// Users who were deleted while we ran: what still names them is not a stranger's with a role.
    private(set) var departed: Set<Int> = []
    /// Seconds at which web tokens of the last time end.
    private var expiries: Set<Int64> = []
    private var failures: FailureThrottle<String>
    private var endedSessions = EndedSessions()
    /// When each token was used last, until the keeper has written it down.
    private var usedTokens: [Int: Int64] = [:]
    /// Called after every change of who may do what. Whoever keeps a principal asks `current`.
    var observers: [() -> Void] = []

    init(io: any IO, settings: Settings, webTokens: WebTokens, audit: Audit, log: Log) {
        self.io = io
        self.settings = settings
        self.webTokens = webTokens
        self.audit = audit
        self.log = log
        rates = RequestRates(io: io)
        costs = DailyCosts(io: io)
        failures = FailureThrottle()
    }

    var now: Int64 { Int64(io.wallMicroseconds) }

    // MARK: Memory

    /// Tells everybody when something is different.
    func adopt(_ tables: AccessTables) {
        let wasLoaded = isLoaded
        isLoaded = true
        guard !wasLoaded || tables != snapshot.tables else { return }
        departed.formUnion(snapshot.tables.users.map(\.id))
        departed.subtract(tables.users.map(\.id))
        snapshot = AccessSnapshot(tables)
        for whose in snapshot.unreadable {
            log.error(
                "tool_restrictions are not understood, allowing nothing", fields: ["whose": whose])
        }
        announce()
    }

    func announce() { for observer in observers { observer() } }

    func takeUsedTokens() -> [Int: Int64] {
        defer { usedTokens = [:] }
        return usedTokens
    }

    // MARK: Who is there

    func authenticate(_ exchange: HTTPExchange) throws(Denial) -> Principal {
        if let stated = try proxied(exchange) { return stated }
        if let token = Self.bearerToken(exchange.request) {
            return try principal(token: token, exchange)
        }
        if let secret = Logins.secret(exchange.request) {
            return try principal(session: secret, exchange)
        }
        if let principal = local(exchange) { return principal }
        throw .missing
    }

    private func principal(token: String, _ exchange: HTTPExchange) throws(Denial) -> Principal {
        let hash = SecretHash(of: token)
        if hash == settings.adminToken {
            return Principal(id: "admin", name: "admin", role: .superAdmin)
        }
        let entry = snapshot.token(hash)
        guard let entry, entry.isValid(at: now) else {
            if webTokens.isConfigured, WebToken.isShaped(token) {
                return try principal(webToken: token, hash, exchange)
            }
            // Without the tables nobody can say that a token is wrong.
            if !isLoaded { throw .notReady }
            let isKnown = entry != nil
            throw refuse(
                isKnown ? "a token that has expired" : "a token that is not ours", exchange)
        }
        usedTokens[entry.id] = now
        return try admitted(entry.person, .token(entry.id))
    }

    /// Slows down whoever guesses, and nobody else: behind one address there may be many, and who has
    /// a right token never comes here.
    func refuse(_ why: String, _ exchange: HTTPExchange) -> Denial {
        if let wait = failures.wait(Self.place(exchange), at: io.now) { return .slowedDown(wait) }
        failures.failed(Self.place(exchange), at: io.now)
        audit.denied(exchange, who: "unknown", action: "authenticate", reason: why)
        return .invalid("The token is not valid.")
    }

    /// A person who has logged in. What changes something needs the page's own token besides the
    /// cookie, which browsers send for other sites too.
    private func principal(session secret: String, _ exchange: HTTPExchange) throws(Denial)
        -> Principal
    {
        let known = try person(session: secret)
        switch exchange.request.method {
        case .get, .head: break
        default:
            let given = exchange.request.header("X-CSRF-Token") ?? ""
            let wanted = Logins.csrfToken(secret)
            guard Digest.areEqual(Array(given.utf8), Array(wanted.utf8)) else {
                throw .forbidden("X-CSRF-Token is missing or wrong; /api/v1/auth/me tells it.")
            }
        }
        return known
    }

    private func person(session secret: String) throws(Denial) -> Principal {
        if let session = operatorSession(secret) { return session.principal }
        if let entry = snapshot.session(SecretHash(of: secret)), entry.isValid(at: now) {
            return try admitted(entry.person, .session(entry.id))
        }
        if !isLoaded { throw .notReady }
        throw .invalid("The session has ended; log in again.")
    }

    private func operatorSession(_ secret: String) -> OperatorSession? {
        guard let session = OperatorSession(secret, settings.adminToken),
            session.expiresAt > now, !endedSessions.contains(session.name)
        else { return nil }
        return session
    }

    /// For who has shown the administrator's token; the cookie's value.
    func openOperatorSession() -> (principal: Principal, secret: String) {
        let (session, secret) = OperatorSession.make(at: now, settings.adminToken)
        note(expiry: session.expiresAt)
        return (session.principal, secret)
    }

    /// What was opened with it is let go of as well.
    func endOperatorSession(_ secret: String) {
        guard let session = operatorSession(secret) else { return }
        endedSessions.insert(session, at: now)
        announce()
    }

    /// Remembers when a web token ends, so that what it opened ends with it.
    func note(expiry: Int64) { expiries.insert(expiry / 1_000_000 + 1) }

    /// The next moment at which somebody's credential ends, in microseconds since 1970 UTC.
    func nextExpiry() -> Int64 {
        expiries = expiries.filter { $0 * 1_000_000 > now }
        return min(
            snapshot.nextExpiry(after: now), (expiries.min() ?? .max / 1_000_000) * 1_000_000)
    }

    private func admitted(
        _ person: Person, _ credential: Principal.Credential
    ) throws(Denial) -> Principal {
        guard person.user.isActive else { throw .forbidden("This account is not active.") }
        return person.principal(credential)
    }

    /// What a trusted proxy says; the same headers of anybody else are nothing.
    private func proxied(_ exchange: HTTPExchange) throws(Denial) -> Principal? {
        guard !settings.proxies.isEmpty,
            let id = exchange.request.header("X-User-Id"),
            settings.proxies.trusts(exchange.peerAddress),
            // An opaque token says who it is by itself; the proxy let it through unseen.
            Self.bearerToken(exchange.request)?.hasPrefix(SecretText.tokenPrefix) != true
        else { return nil }
        if !isLoaded { throw .notReady }
        let name = exchange.request.header("X-User-Username")
        let person =
            Int(id).flatMap { snapshot.person($0) } ?? name.flatMap(snapshot.person(named:))
        if let person { return try admitted(person, .proxy(user: "\(person.id)")) }
        guard !(Int(id).map(departed.contains) ?? false),
            let role = exchange.request.header("X-User-Role"),
            let permission = snapshot.permission(ofRole: role)
        else { throw .forbidden("The proxy names a person and a role that are not known here.") }
        return Principal(
            id: "proxy:\(id)", name: name ?? id, role: .init(rawValue: role),
            credential: .proxy(user: id), permission: permission)
    }

    private func local(_ exchange: HTTPExchange) -> Principal? {
        guard let peer = exchange.peerCredentials else { return nil }
        return localPrincipal(peer, exchange.listener?.audience)
    }

    func localPrincipal(
        _ peer: Sockets.PeerCredentials, _ audience: Listener.Audience?
    ) -> Principal? {
        switch audience {
        case .administrators: break
        case .local where peer.user == 0 || peer.user == settings.ownUser: break
        case .local, .network, nil: return nil
        }
        return .unixUser(peer.user)
    }

    /// Where somebody guesses from: an address, or a socket.
    static func place(_ exchange: HTTPExchange) -> String {
        exchange.peerAddress?.host ?? exchange.peerCredentials.map { "uid:\($0.user)" } ?? "unix"
    }

    // MARK: What became of somebody

    /// The principal as access is now; nil when its credential is gone, expired, or its owner is no
    /// longer active.
    func current(_ principal: Principal) -> Principal? {
        guard principal.expiresAt > now else { return nil }
        switch principal.credential {
        case .none, .administratorToken, .unixUser: return principal
        case .operatorSession(let name):
            return endedSessions.contains(name) ? nil : principal
        case .token(let id): return living(snapshot.token(id: id), principal)
        case .session(let id): return living(snapshot.session(id: id), principal)
        case .proxy, .webToken:
            guard let id = principal.userID else {
                return snapshot.permission(ofRole: principal.role.rawValue).map {
                    Principal(
                        id: principal.id, name: principal.name, role: principal.role,
                        credential: principal.credential, permission: $0,
                        missingScopes: principal.missingScopes, expiresAt: principal.expiresAt)
                }
            }
            guard let person = snapshot.person(id), person.user.isActive else { return nil }
            return person.principal(
                principal.credential, missingScopes: principal.missingScopes,
                expiresAt: principal.expiresAt)
        }
    }

    private func living(_ entry: AccessSnapshot.Entry?, _ principal: Principal) -> Principal? {
        guard let entry, entry.isValid(at: now), entry.person.id == principal.userID,
            entry.person.user.isActive
        else { return nil }
        return entry.person.principal(principal.credential)
    }

    func person(_ id: Int) -> Person? { snapshot.person(id) }
    /// By user name or e-mail.
    func person(named name: String) -> Person? { snapshot.person(named: name) }

    // MARK: Bearer

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
