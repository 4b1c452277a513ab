internal import CShims.OpenSSL
internal import OmniCore

/// Passwords at rest: scrypt (RFC 7914) with 32 MiB, as `$scrypt$ln=15,r=8,p=1$salt$hash`.
///
/// One takes about a tenth of a second of a core by intention: never on the ring thread.
public enum PasswordHash {
    private static let logCost = 15
    private static let blockSize: UInt64 = 8
    private static let memoryMax: UInt64 = 64 << 20

    public static func make(_ password: String) -> String {
        let salt = Digest.random(16)
        let hash = derive(password, salt, logCost: logCost) ?? []
        precondition(hash.count == 32, "scrypt with our own numbers works")
        return "$scrypt$ln=\(logCost),r=\(blockSize),p=1$\(text(salt))$\(text(hash))"
    }

    /// False for a wrong password and for a hash of another kind.
    public static func verify(_ password: String, against stored: String) -> Bool {
        let parts = stored.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[1] == "scrypt", let cost = cost(parts[2]),
            let salt = bytes(parts[3]), let hash = bytes(parts[4]),
            let derived = derive(password, salt, logCost: cost)
        else { return false }
        return Digest.areEqual(derived, hash)
    }

    /// Costs as much as a real one: an unknown name must not be told by its time.
    public static func pretend(_ password: String) {
        _ = derive(password, [UInt8](repeating: 0, count: 16), logCost: logCost)
    }

    private static func cost(_ text: Substring) -> Int? {
        let parts = text.split(separator: ",")
        guard parts.count == 3, parts[0].hasPrefix("ln="), parts[1] == "r=8", parts[2] == "p=1",
            let cost = Int(parts[0].dropFirst(3)), (10...15).contains(cost)
        else { return nil }
        return cost
    }

    private static func derive(_ password: String, _ salt: [UInt8], logCost: Int) -> [UInt8]? {
        var hash = [UInt8](repeating: 0, count: 32)
        let bytes = Array(password.utf8).map { CChar(bitPattern: $0) }
        let status = unsafe EVP_PBE_scrypt(
            bytes, bytes.count, salt, salt.count, UInt64(1) << UInt64(logCost), blockSize, 1,
            memoryMax, &hash, hash.count)
        return status == 1 ? hash : nil
    }

    private static func text(_ bytes: [UInt8]) -> String {
        var writer = ByteWriter(capacity: 64)
        bytes.withRawSpan { Base64.encode($0, as: .urlSafe, into: &writer) }
        return writer.string()
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        var writer = ByteWriter(capacity: 64)
        let isRead = Array(text.utf8).withRawSpan { span in
            Base64.decode(
                span, ByteRange(offset: 0, count: span.byteCount), as: .urlSafe, into: &writer)
        }
        return isRead ? writer.array() : nil
    }
}
