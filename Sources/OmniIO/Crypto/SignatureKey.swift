internal import CShims.OpenSSL

/// A key that can tell whether a signature is right: what a JSON web token is checked with.
///
/// `@safe`: the handle is private and lives from `init` to `deinit`.
@safe
public final class SignatureKey {
    private enum Kind {
        case hmac([UInt8])
        case rsa
        case p256
    }

    private let kind: Kind
    private let handle: OpaquePointer?

    /// HS256: a secret that both sides have.
    public init(secret: [UInt8]) {
        kind = .hmac(secret)
        unsafe handle = nil
    }

    /// RS256. Nil for numbers that are no key, and for keys of fewer than 2048 bits.
    public init?(modulus: [UInt8], exponent: [UInt8]) {
        let significant = modulus.drop { $0 == 0 }
        guard (256...2048).contains(significant.count), (1...8).contains(exponent.count) else {
            return nil
        }
        kind = .rsa
        let key = unsafe omni2_rsa_key(
            modulus, Int32(modulus.count), exponent, Int32(exponent.count))
        guard let key = unsafe key else { return nil }
        unsafe handle = key
    }

    /// ES256: a point of P-256. Nil when it does not lie on the curve.
    public init?(x: [UInt8], y: [UInt8]) {
        guard x.count == 32, y.count == 32 else { return nil }
        kind = .p256
        guard let key = unsafe omni2_p256_key([4] + x + y) else { return nil }
        unsafe handle = key
    }

    deinit { unsafe EVP_PKEY_free(handle) }

    /// Whether `signature`, as a JSON web token carries it, is this key's over `message`.
    public func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        switch kind {
        case .hmac(let secret):
            Digest.areEqual(Digest.hmacSHA256(message, key: secret), signature)
        case .rsa:
            unsafe omni2_verify_sha256(
                handle, message, message.count, signature, signature.count) == 1
        case .p256: verifiesPoint(signature, message)
        }
    }

    private func verifiesPoint(_ signature: [UInt8], _ message: [UInt8]) -> Bool {
        guard signature.count == 64 else { return false }
        var encoded = [UInt8](repeating: 0, count: 80)
        let count = unsafe omni2_p256_signature(signature, &encoded)
        guard count > 0 else { return false }
        return unsafe omni2_verify_sha256(
            handle, message, message.count, encoded, Int(count)) == 1
    }
}

extension Digest {
    public static func hmacSHA256(_ bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 32
        _ = unsafe HMAC(
            EVP_sha256(), key, Int32(key.count), bytes, bytes.count, &digest, &count)
        return digest
    }
}
