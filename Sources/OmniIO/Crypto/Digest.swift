internal import CShims.OpenSSL

/// Hashes, random bytes and comparison in constant time: OpenSSL's.
public enum Digest {
    public static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        _ = unsafe SHA256(bytes, bytes.count, &digest)
        return digest
    }

    /// For the WebSocket handshake (RFC 6455 §4.2.2), which needs no security of it.
    public static func sha1(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 20)
        _ = unsafe SHA1(bytes, bytes.count, &digest)
        return digest
    }

    public static func random(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let status = unsafe RAND_bytes(&bytes, Int32(count))
        precondition(status == 1, "the system has no random bytes")
        return bytes
    }

    /// Takes the same time wherever the two differ.
    public static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe CRYPTO_memcmp(left, right, left.count) == 0
    }
}
