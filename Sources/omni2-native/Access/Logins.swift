import OmniCore
import OmniIO

/// People who log in with a password or a key, and the sessions they get: a cookie whose hash is a row
/// of `user_sessions`, so that a restart logs nobody out.
///
/// Guessing gets slower with each failure, by account and by address, and is on record. A name that
/// does not exist costs as much time as a wrong password.
final class Logins {
    enum Refusal: Error {
        /// Wrong name, password or key: which, nobody is told.
        case wrong
        case inactive
        case slowedDown(Duration)
        /// As many log-ins at a time as are computed.
        case busy
        case store(StoreError)
    }

    struct Session {
        /// Nil: the operator's.
        let person: Person?
        let principal: Principal
        /// The cookie's value.
        let secret: String
        let seconds: Int
    }

    static let cookie = "omni2_session"
    /// Log-ins that wait for their password to be checked.
    private static let pendingMax = 8

    private let io: any IO
    private let access: Access
    private let store: any AccessStore
    private let keeper: AccessKeeper
    private let log: Log
    private var failures = FailureThrottle<String>(free: 4, first: .seconds(1))
    private var pending = 0
    /// Somebody logged in: for whoever tells the dashboards.
    var loggedIn: (Person) -> Void = { _ in }

    init(io: any IO, access: Access, store: any AccessStore, keeper: AccessKeeper, log: Log) {
        self.io = io
        self.access = access
        self.store = store
        self.keeper = keeper
        self.log = log
    }

    func logIn(
        name: String, password: String, _ exchange: HTTPExchange
    ) async throws(Refusal) -> Session {
        let keys = ["at \(Access.place(exchange))", "for \(name.lowercased())"]
        try admit(keys)
        pending += 1
        defer { pending -= 1 }
        let person = access.person(named: name)
        let isRight = try await isRight(password, person)
        guard let person, isRight else { throw refuse(keys, name, exchange) }
        return try await open(person, keys, exchange)
    }

    func logIn(key: String, _ exchange: HTTPExchange) async throws(Refusal) -> Session {
        let keys = ["at \(Access.place(exchange))"]
        try admit(keys)
        guard let entry = access.snapshot.apiKey(SecretHash(of: key)) else {
            throw refuse(keys, "an API key", exchange)
        }
        return try await open(entry.person, keys, exchange)
    }

    /// With a token of one's own, or the administrator's.
    func logIn(token: String, _ exchange: HTTPExchange) async throws(Refusal) -> Session {
        let keys = ["at \(Access.place(exchange))"]
        try admit(keys)
        let hash = SecretHash(of: token)
        if hash == access.settings.adminToken {
            for key in keys { failures.succeeded(key) }
            let (principal, secret) = access.openOperatorSession()
            access.audit.done(exchange, by: principal, "login", principal.name)
            return Session(
                person: nil, principal: principal, secret: secret,
                seconds: OperatorSession.seconds)
        }
        guard let entry = access.snapshot.token(hash), entry.isValid(at: access.now) else {
            throw refuse(keys, "a token", exchange)
        }
        return try await open(entry.person, keys, exchange, until: entry.expiresAt)
    }

    private func admit(_ keys: [String]) throws(Refusal) {
        if let wait = keys.compactMap({ failures.wait($0, at: io.now) }).max() {
            throw .slowedDown(wait)
        }
        guard pending < Self.pendingMax else { throw .busy }
    }

    private func isRight(_ password: String, _ person: Person?) async throws(Refusal) -> Bool {
        var stored: String?
        if let person {
            do throws(StoreError) {
                stored = try await store.passwordHash(ofUser: person.id)
            } catch {
                throw .store(error)
            }
        }
        guard let stored else {
            await io.offload { PasswordHash.pretend(password) }
            return false
        }
        return await io.offload { PasswordHash.verify(password, against: stored) }
    }

    private func refuse(_ keys: [String], _ who: String, _ exchange: HTTPExchange) -> Refusal {
        for key in keys { failures.failed(key, at: io.now) }
        access.audit.denied(exchange, who: who, action: "login", reason: "wrong name or password")
        return .wrong
    }

    private func open(
        _ person: Person, _ keys: [String], _ exchange: HTTPExchange, until end: Int64 = .max
    ) async throws(Refusal) -> Session {
        guard person.user.isActive, person.user.role != nil else {
            access.audit.denied(
                exchange, by: person.principal(.none), action: "login", reason: "not active")
            throw .inactive
        }
        for key in keys { failures.succeeded(key) }
        let secret = SecretText.make(SecretText.sessionPrefix)
        let left = max(1, (end - access.now) / 1_000_000)
        let seconds = min(max(60, person.permission.sessionSeconds), Int(left))
        do throws(StoreError) {
            _ = try await store.insert(
                session: NewSession(
                    userID: person.id, hash: SecretHash(of: secret).hexadecimal,
                    expiresAt: access.now + Int64(seconds) * 1_000_000,
                    address: Access.place(exchange),
                    userAgent: exchange.request.header("User-Agent").map {
                        String($0.prefix(200))
                    }))
            try await store.touchLogin(ofUser: person.id, at: access.now)
            try await keeper.read()
        } catch {
            throw .store(error)
        }
        access.audit.done(exchange, by: person.principal(.none), "login", person.user.username)
        loggedIn(person)
        return Session(
            person: person, principal: person.principal(.none), secret: secret, seconds: seconds)
    }

    func logOut(_ principal: Principal, _ request: HTTPRequest) async throws(StoreError) {
        switch principal.credential {
        case .session(let id):
            try await store.deleteSession(id: id)
            try await keeper.read()
        case .operatorSession:
            if let secret = Self.secret(request) { access.endOperatorSession(secret) }
        default: break
        }
    }

    // MARK: Cookies

    /// The secret in a request's cookie.
    static func secret(_ request: HTTPRequest) -> String? {
        guard let cookies = request.header("Cookie") else { return nil }
        for pair in cookies.split(separator: ";") {
            let parts = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
            if parts.count == 2, parts[0] == cookie, !parts[1].isEmpty { return String(parts[1]) }
        }
        return nil
    }

    /// What a page sends back as `X-CSRF-Token`: another site can neither read nor guess it.
    static func csrfToken(_ secret: String) -> String {
        var writer = ByteWriter(capacity: 64)
        Digest.hmacSHA256(Array("csrf".utf8), key: Array(secret.utf8)).withRawSpan {
            Hex.encode($0, into: &writer)
        }
        return writer.string()
    }
}
