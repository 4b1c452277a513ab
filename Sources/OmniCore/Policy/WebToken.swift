/// A JSON web token (RFC 7519) in its compact form, taken apart and not yet believed: whether the
/// signature is right is the caller's to find out, with the key that `keyID` and `algorithm` name.
public struct WebToken: Hashable, Sendable {
    /// What we accept. `none` is not among them, and a secret never stands in for a public key: each
    /// algorithm takes keys of its own kind.
    public enum Algorithm: String, Hashable, Sendable {
        case hs256 = "HS256"
        case rs256 = "RS256"
        case es256 = "ES256"
    }

    public enum ReadError: Error, Hashable, Sendable {
        /// Not three parts of base64url with JSON objects in the first two.
        case malformed
        case unknownAlgorithm
        /// The header names something that must be understood (`crit`), and is not.
        case unknownExtension
    }

    public let algorithm: Algorithm
    public let keyID: String?
    public let claims: JSONValue
    /// What was signed: the first two parts as they came.
    public let signed: [UInt8]
    public let signature: [UInt8]

    /// Longer ones are refused unread.
    public static let bytesMax = 16 << 10

    public init(_ text: some StringProtocol) throws(ReadError) {
        guard text.utf8.count <= Self.bytesMax else { throw .malformed }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Self.object(parts[0]),
            let claims = Self.object(parts[1]), let signature = Self.bytes(parts[2])
        else { throw .malformed }
        guard let algorithm = header["alg"]?.string.flatMap({ Algorithm(rawValue: $0) }) else {
            throw .unknownAlgorithm
        }
        if header["crit"] != nil || header["b64"] != nil { throw .unknownExtension }
        self.algorithm = algorithm
        keyID = header["kid"]?.string
        self.claims = claims
        self.signature = signature
        signed = Array("\(parts[0]).\(parts[1])".utf8)
    }

    /// Whether a text looks like one at all.
    public static func isShaped(_ text: String) -> Bool {
        text.utf8.count { $0 == UInt8(ascii: ".") } == 2 && text.hasPrefix("ey")
    }

    private static func object(_ part: some StringProtocol) -> JSONValue? {
        guard let bytes = bytes(part) else { return nil }
        do throws(JSONError) {
            let value = try JSONValue(parsing: bytes)
            return value.object == nil ? nil : value
        } catch {
            return nil
        }
    }

    private static func bytes(_ part: some StringProtocol) -> [UInt8]? {
        let text = Array(part.utf8)
        var writer = ByteWriter(capacity: text.count)
        let isRead = text.withRawSpan { span in
            Base64.decode(
                span, ByteRange(offset: 0, count: span.byteCount), as: .urlSafe, into: &writer)
        }
        return isRead ? writer.array() : nil
    }
}

/// What the claims must say beyond a right signature.
public struct WebTokenRules: Hashable, Sendable {
    /// Empty: any.
    public var issuers: [String]
    /// One of these must be in `aud`; empty: any.
    public var audiences: [String]
    /// A token without `aud` is for us.
    public var allowsNoAudience: Bool
    /// How far the issuer's clock may be off, in seconds.
    public var leeway: Int64

    public init(
        issuers: [String] = [], audiences: [String] = [], allowsNoAudience: Bool = false,
        leeway: Int64 = 30
    ) {
        self.issuers = issuers
        self.audiences = audiences
        self.allowsNoAudience = allowsNoAudience
        self.leeway = leeway
    }

    public enum Objection: Error, Hashable, Sendable {
        case expired
        case notYetValid
        case noExpiry
        case wrongIssuer
        case wrongAudience
        case noSubject
        /// A refresh token where an access token belongs.
        case wrongType

        public var words: String {
            switch self {
            case .expired: "it has expired"
            case .notYetValid: "it is not valid yet"
            case .noExpiry: "it says no expiry"
            case .wrongIssuer: "its issuer is not trusted here"
            case .wrongAudience: "it is meant for another audience"
            case .noSubject: "it names no subject"
            case .wrongType: "it is no access token"
            }
        }
    }

    /// - Parameter now: seconds since 1970.
    public func check(_ claims: JSONValue, now: Int64) throws(Objection) {
        guard let expiry = Self.seconds(claims["exp"]) else { throw .noExpiry }
        guard now < expiry.addingClamped(leeway) else { throw .expired }
        for name in ["nbf", "iat"] {
            if let time = Self.seconds(claims[name]), time > now.addingClamped(leeway) {
                throw .notYetValid
            }
        }
        if let type = claims["type"]?.string, type != "access" { throw .wrongType }
        if !issuers.isEmpty, !issuers.contains(claims["iss"]?.string ?? "") { throw .wrongIssuer }
        try checkAudience(claims["aud"])
        guard claims["sub"]?.string?.isEmpty == false else { throw .noSubject }
    }

    private func checkAudience(_ value: JSONValue?) throws(Objection) {
        if audiences.isEmpty { return }
        let named = value?.strings ?? value?.string.map { [$0] } ?? []
        if named.isEmpty, allowsNoAudience, value == nil || value?.isNull == true { return }
        guard named.contains(where: { Self.canonical($0, in: audiences) }) else {
            throw .wrongAudience
        }
    }

    /// A slash at the end makes no difference.
    private static func canonical(_ name: String, in audiences: [String]) -> Bool {
        func bare(_ text: String) -> Substring {
            text.hasSuffix("/") ? text.dropLast() : Substring(text)
        }
        return audiences.contains { bare($0) == bare(name) }
    }

    public static func seconds(_ value: JSONValue?) -> Int64? {
        if let whole = value?.int { return whole }
        guard let number = value?.double, number.isFinite, abs(number) < 9e15 else { return nil }
        return Int64(number)
    }

    /// `scope` is a text of words, or a list of them.
    public static func scopes(_ claims: JSONValue) -> Set<String> {
        var all: [String] = []
        for name in ["scope", "scp"] {
            guard let value = claims[name] else { continue }
            all += value.strings ?? value.string?.split(separator: " ").map(String.init) ?? []
        }
        return Set(all)
    }
}

extension Int64 {
    fileprivate func addingClamped(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

/// The public keys of a JSON web key set (RFC 7517), as numbers. Keys of other kinds, and keys for
/// encryption, are left out.
public struct WebKeySet: Hashable, Sendable {
    public enum Numbers: Hashable, Sendable {
        case rsa(modulus: [UInt8], exponent: [UInt8])
        case p256(x: [UInt8], y: [UInt8])
    }

    public struct Key: Hashable, Sendable {
        public let id: String?
        public let numbers: Numbers

        public var algorithm: WebToken.Algorithm {
            switch numbers {
            case .rsa: .rs256
            case .p256: .es256
            }
        }
    }

    public let keys: [Key]
    private static let keysMax = 100

    /// Nil when it is no key set at all.
    public init?(_ bytes: [UInt8]) {
        guard let value = try? JSONValue(parsing: bytes), let list = value["keys"]?.array else {
            return nil
        }
        keys = list.prefix(Self.keysMax).compactMap(Self.key)
    }

    private static func key(_ value: JSONValue) -> Key? {
        if let use = value["use"]?.string, use != "sig" { return nil }
        let id = value["kid"]?.string
        let wanted = value["alg"]?.string
        switch value["kty"]?.string {
        case "RSA" where wanted == nil || wanted == "RS256":
            guard let modulus = number(value["n"]), let exponent = number(value["e"]) else {
                return nil
            }
            return Key(id: id, numbers: .rsa(modulus: modulus, exponent: exponent))
        case "EC" where value["crv"]?.string == "P-256" && (wanted == nil || wanted == "ES256"):
            guard let x = number(value["x"]), let y = number(value["y"]) else { return nil }
            return Key(id: id, numbers: .p256(x: x, y: y))
        default: return nil
        }
    }

    private static func number(_ value: JSONValue?) -> [UInt8]? {
        guard let text = value?.string else { return nil }
        var writer = ByteWriter(capacity: text.utf8.count)
        let isRead = Array(text.utf8).withRawSpan { span in
            Base64.decode(
                span, ByteRange(offset: 0, count: span.byteCount), as: .urlSafe, into: &writer)
        }
        return isRead ? writer.array() : nil
    }
}
