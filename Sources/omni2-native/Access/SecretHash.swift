import OmniCore
import OmniIO

/// SHA-256 of a secret: what is stored and looked up instead of it.
///
/// A look-up by hash tells a caller nothing by its time: to learn a hash bit by bit one would have to
/// choose hashes, and one can only choose secrets. The last comparison is in constant time anyway.
struct SecretHash: Hashable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    init(of secret: some StringProtocol) {
        self.init(bytes: Digest.sha256(Array(secret.utf8)))
    }

    init(bytes: [UInt8]) {
        precondition(bytes.count == 32, "SHA-256 has 32 bytes")
        func word(_ index: Int) -> UInt64 {
            bytes[index * 8..<index * 8 + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
        words = (word(0), word(1), word(2), word(3))
    }

    var bytes: [UInt8] {
        [words.0, words.1, words.2, words.3].flatMap { word in
            stride(from: 56, through: 0, by: -8).map {
                UInt8(truncatingIfNeeded: word >> UInt64($0))
            }
        }
    }

    /// Nil for what is no SHA-256, such as OMNI2's bcrypt.
    init?(hexadecimal text: String) {
        guard text.utf8.count == 64 else { return nil }
        var writer = ByteWriter(capacity: 32)
        let isRead = Array(text.utf8).withRawSpan { digits in
            Hex.decode(digits, ByteRange(offset: 0, count: 64), into: &writer)
        }
        guard isRead, writer.array().count == 32 else { return nil }
        self.init(bytes: writer.array())
    }

    var hexadecimal: String {
        var writer = ByteWriter(capacity: 64)
        bytes.withRawSpan { Hex.encode($0, into: &writer) }
        return writer.string()
    }

    static func == (left: Self, right: Self) -> Bool {
        (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1)
            | (left.words.2 ^ right.words.2) | (left.words.3 ^ right.words.3) == 0
    }

    func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// Secrets that are given out: 256 random bits behind a prefix that scanners of leaked secrets know.
enum SecretText {
    static let tokenPrefix = "omni2_mcp_"
    static let sessionPrefix = "omni2_ses_"
    static let keyPrefix = "omni2_key_"

    static func make(_ prefix: String) -> String {
        var writer = ByteWriter(capacity: 64)
        Digest.random(32).withRawSpan { Base64.encode($0, as: .urlSafe, into: &writer) }
        return prefix + writer.string()
    }
}
