internal import CShims.Cache
internal import CShims.OpenSSL

/// The 32 bytes that name a result: a SHA-256, made by `CacheKeyHasher`.
public struct CacheKey: Hashable, Sendable, CustomStringConvertible {
    /// The bytes as they lie in memory, eight at a time.
    let words: (UInt64, UInt64, UInt64, UInt64)

    /// Nothing unless there are exactly 32 bytes.
    public init?(bytes: Span<UInt8>) {
        guard bytes.count == 32 else { return nil }
        words = unsafe bytes.withUnsafeBytes { buffer in
            unsafe (
                buffer.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                buffer.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                buffer.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                buffer.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
            )
        }
    }

    init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// Nothing unless there are exactly 64 hexadecimal digits.
    public init?(hex: String) {
        var digits: [UInt64] = []
        for byte in hex.utf8 {
            switch byte {
            case 0x30...0x39: digits.append(UInt64(byte - 0x30))
            case 0x41...0x46: digits.append(UInt64(byte - 0x41 + 10))
            case 0x61...0x66: digits.append(UInt64(byte - 0x61 + 10))
            default: return nil
            }
        }
        guard digits.count == 64 else { return nil }
        var words: [UInt64] = [0, 0, 0, 0]
        for index in 0..<32 {
            let byte = digits[2 * index] << 4 | digits[2 * index + 1]
            words[index / 8] |= byte << UInt64(8 * (index % 8))
        }
        self.words = (words[0], words[1], words[2], words[3])
    }

    /// Lowercase hexadecimal, as the original prints keys.
    public var description: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                let byte = Int(truncatingIfNeeded: word >> shift & 0xff)
                text.append(digits[byte >> 4])
                text.append(digits[byte & 15])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    var shared: omni2_key { omni2_key(word: words) }

    public static func == (left: Self, right: Self) -> Bool { left.words == right.words }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}

/// Derives keys. Holds one digest context, so deriving allocates nothing; one thread at a time.
@safe
public final class CacheKeyHasher {
    private let context: OpaquePointer
    private let algorithm: OpaquePointer

    public init() {
        guard let context = unsafe EVP_MD_CTX_new(),
            let algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil)
        else { preconditionFailure("OpenSSL provides SHA-256") }
        unsafe self.context = unsafe context
        unsafe self.algorithm = unsafe algorithm
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
        unsafe EVP_MD_free(algorithm)
    }

    /// The original's derivation: SHA-256 of `server:tool:arguments`, the arguments in the
    /// canonical form of Python's `json.dumps(…, sort_keys=True)`. Server "a:b", tool "c" and
    /// server "a", tool "b:c" collide: whoever needs certainty compares the entry's origin.
    public func compatibleKey(
        server: String, tool: String, canonicalArguments: Span<UInt8>
    ) -> CacheKey {
        begin()
        add(server)
        add(":")
        add(tool)
        add(":")
        add(canonicalArguments)
        return finish()
    }

    /// The native derivation: each part is preceded by its length (64 bits, little-endian), so no
    /// two different inputs share a key. `scope` is "shared", "role:…" or "user:…"; `epoch` is
    /// whatever must not be mixed, such as the server's configuration.
    public func nativeKey(
        scope: String, epoch: String, server: String, tool: String, canonicalArguments: Span<UInt8>
    ) -> CacheKey {
        begin()
        for part in ["omni2-cache-1", scope, epoch, server, tool] {
            addLength(part.utf8.count)
            add(part)
        }
        addLength(canonicalArguments.count)
        add(canonicalArguments)
        return finish()
    }

    /// Plain SHA-256 of some bytes.
    public func digest(_ bytes: Span<UInt8>) -> CacheKey {
        begin()
        add(bytes)
        return finish()
    }

    private func begin() {
        let result = unsafe EVP_DigestInit_ex2(context, algorithm, nil)
        precondition(result == 1, "a fetched digest can be started")
    }

    private func add(_ text: String) {
        var text = text
        text.withUTF8 { unsafe add($0.span) }
    }

    private func add(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { buffer in
            guard buffer.count > 0 else { return }
            _ = unsafe EVP_DigestUpdate(context, buffer.baseAddress, buffer.count)
        }
    }

    private func addLength(_ count: Int) {
        var little = UInt64(count).littleEndian
        unsafe withUnsafeBytes(of: &little) { unsafe add($0.bindMemory(to: UInt8.self).span) }
    }

    private func finish() -> CacheKey {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        unsafe withUnsafeMutableBytes(of: &words) { buffer in
            let bytes = unsafe buffer.bindMemory(to: UInt8.self)
            _ = unsafe EVP_DigestFinal_ex(context, bytes.baseAddress, nil)
        }
        return CacheKey(words: words)
    }
}
