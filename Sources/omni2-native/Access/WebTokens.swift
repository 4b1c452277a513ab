import OmniCore
import OmniIO

/// JSON web tokens: whose keys are trusted, what a token must say, and what was found of each lately.
///
/// HS256 goes with the shared secret alone, RS256 and ES256 with the key set alone. A key set comes
/// from a file or a URL; it is read again from time to time and, at most every ten seconds, when a
/// token names a key that is not in it: that is how keys are rotated. Old keys stay as long as the
/// set has them.
final class WebTokens {
    struct Settings {
        var secret: [UInt8]?
        /// A path or a URL.
        var keySet: String?
        var issuers: [String] = []
        var audiences: [String] = []
        /// Claim that names the role of somebody without a row in `users`.
        var roleClaim = "role"
    }

    /// A token that is right: what it says.
    struct Verified {
        let claims: JSONValue
        let isOurs: Bool
        /// Microseconds since 1970 UTC.
        let expiresAt: Int64
    }

    enum Refusal: Error {
        case wrong(String)
        /// The key it names is not known; reading the set may help.
        case unknownKey
    }

    let settings: Settings
    private let io: any IO
    private let http: HTTPClient
    private let log: Log
    private let secretKey: SignatureKey?
    private var keys: [(id: String?, algorithm: WebToken.Algorithm, key: SignatureKey)] = []
    private var known: [SecretHash: Verified] = [:]
    private var lastRead: MonotonicTime?
    private var reading: Promise<Bool>?

    private static let knownMax = 4096
    private static let rereadTime = Duration.seconds(600)
    private static let impatience = Duration.seconds(10)
    private static let fetchTime = Duration.seconds(5)
    private static let keySetBytesMax = 1 << 20

    init(io: any IO, http: HTTPClient, settings: Settings, log: Log) {
        self.io = io
        self.http = http
        self.settings = settings
        self.log = log
        secretKey = settings.secret.map { SignatureKey(secret: $0) }
    }

    var isConfigured: Bool { secretKey != nil || settings.keySet != nil }

    // MARK: Verifying

    /// - Parameter resources: the names under which the caller reached us, for `aud`.
    func verify(
        _ text: String, _ hash: SecretHash, resources: [String]
    ) throws(Refusal) -> Verified {
        let now = Int64(io.wallMicroseconds) / 1_000_000
        if let verified = known[hash] {
            try check(verified.claims, isOurs: verified.isOurs, now, resources)
            return verified
        }
        let token: WebToken
        do throws(WebToken.ReadError) { token = try WebToken(text) } catch {
            throw .wrong("it is no JSON web token that is accepted here")
        }
        let isOurs = token.algorithm == .hs256
        guard try signatureHolds(token) else { throw .wrong("its signature is wrong") }
        try check(token.claims, isOurs: isOurs, now, resources)
        let expiry = WebTokenRules.seconds(token.claims["exp"]) ?? 0
        let verified = Verified(
            claims: token.claims, isOurs: isOurs,
            expiresAt: expiry.multipliedReportingOverflow(by: 1_000_000).overflow
                ? .max : expiry * 1_000_000)
        if known.count >= Self.knownMax { known = [:] }
        known[hash] = verified
        return verified
    }

    private func signatureHolds(_ token: WebToken) throws(Refusal) -> Bool {
        if token.algorithm == .hs256 {
            guard let secretKey else { throw .wrong("its algorithm is not accepted here") }
            return secretKey.verifies(token.signature, of: token.signed)
        }
        guard settings.keySet != nil else { throw .wrong("its algorithm is not accepted here") }
        let fitting = keys.filter {
            $0.algorithm == token.algorithm && (token.keyID == nil || $0.id == token.keyID)
        }
        if fitting.isEmpty { throw .unknownKey }
        return fitting.contains { $0.key.verifies(token.signature, of: token.signed) }
    }

    private func check(
        _ claims: JSONValue, isOurs: Bool, _ now: Int64, _ resources: [String]
    ) throws(Refusal) {
        let hasAudiences = !settings.audiences.isEmpty
        let rules = WebTokenRules(
            issuers: isOurs ? [] : settings.issuers,
            audiences: hasAudiences ? settings.audiences : isOurs ? [] : resources,
            allowsNoAudience: !hasAudiences)
        do throws(WebTokenRules.Objection) { try rules.check(claims, now: now) } catch {
            throw .wrong(error.words)
        }
    }

    // MARK: Keys

    /// Whether reading the set now is not too soon after the last time.
    private var mayRead: Bool { lastRead.map { io.now - $0 >= Self.impatience } ?? true }

    /// Whether it is time to read the set whatever happens.
    var isDue: Bool {
        settings.keySet != nil && (lastRead.map { io.now - $0 >= Self.rereadTime } ?? true)
    }

    /// Reads the key set; false when that brought nothing. Who comes meanwhile shares the outcome.
    @discardableResult
    func readKeys() async -> Bool {
        guard let source = settings.keySet else { return false }
        if let reading { return await reading.value(until: io.now + Self.fetchTime) ?? false }
        guard mayRead else { return false }
        lastRead = io.now
        let promise = Promise<Bool>(io)
        reading = promise
        let isRead = await adopt(source)
        reading = nil
        promise.fulfil(isRead)
        return isRead
    }

    private func adopt(_ source: String) async -> Bool {
        guard let bytes = await bytes(of: source) else { return false }
        guard let set = WebKeySet(bytes) else {
            log.error(
                "the JWKS is no key set, going on with the keys before", fields: ["jwks": source])
            return false
        }
        keys = set.keys.compactMap { key in
            let made: SignatureKey? =
                switch key.numbers {
                case .rsa(let modulus, let exponent):
                    SignatureKey(modulus: modulus, exponent: exponent)
                case .p256(let x, let y): SignatureKey(x: x, y: y)
                }
            return made.map { (key.id, key.algorithm, $0) }
        }
        // A key that is gone takes what it signed with it.
        known = [:]
        log.info("keys of web tokens read", fields: ["jwks": source, "keys": keys.count])
        return true
    }

    private func bytes(of source: String) async -> [UInt8]? {
        if source.hasPrefix("/") {
            let read: Result<[UInt8], Files.ReadError> = await io.offload {
                do throws(Files.ReadError) {
                    return .success(try Files.read(source, bytesMax: Self.keySetBytesMax))
                } catch {
                    return .failure(error)
                }
            }
            switch read {
            case .success(let bytes): return bytes
            case .failure(let error): return missing(source, error.description)
            }
        }
        do throws(HTTPClientError) {
            let deadline = io.now + Self.fetchTime
            var request = HTTPClientRequest("GET", source)
            request.headers = [.init("Accept", "application/json")]
            let answer = try await http.send(request, until: deadline)
            let bytes = try await answer.collect(bytesMax: Self.keySetBytesMax, until: deadline)
            return answer.status == 200 ? bytes : missing(source, "status \(answer.status)")
        } catch {
            return missing(source, error.description)
        }
    }

    private func missing(_ source: String, _ why: String) -> [UInt8]? {
        log.error(
            "the JWKS cannot be read, going on with the keys before",
            fields: ["jwks": source, "error": why])
        return nil
    }
}
