import OmniCore
import OmniIO

/// The token of `[Access] AdminTokenFile=`: read, or made at the first start.
enum AdminToken {
    struct Loaded {
        let hash: [UInt8]
        /// Only when it was made just now: shown once on a terminal, never in the journal.
        let fresh: String?
    }

    static let prefix = "omni2_mcp_"
    private static let bytesMax = 4096

    static func load(_ path: String) throws(LoadError) -> Loaded {
        let text: [UInt8]
        do throws(Files.ReadError) {
            text = try Files.read(path, bytesMax: bytesMax)
        } catch {
            if error.isNotFound { return try make(path) }
            throw .unreadable(path, error.description)
        }
        let token = String(decoding: text, as: UTF8.self).filter { !$0.isWhitespace }
        guard token.utf8.count >= 16 else { throw .tooShort(path) }
        return Loaded(hash: Digest.sha256(Array(token.utf8)), fresh: nil)
    }

    private static func make(_ path: String) throws(LoadError) -> Loaded {
        var writer = ByteWriter(capacity: 64)
        Base64.encode(unsafe Digest.random(32).span.bytes, as: .urlSafe, into: &writer)
        let token = prefix + writer.string()
        do throws(SystemError) {
            try Files.create(path, Array((token + "\n").utf8), mode: 0o600)
        } catch {
            throw .unwritable(path, error)
        }
        return Loaded(hash: Digest.sha256(Array(token.utf8)), fresh: token)
    }

    enum LoadError: Error, CustomStringConvertible {
        case unreadable(String, String)
        case unwritable(String, SystemError)
        case tooShort(String)

        var description: String {
            switch self {
            case .unreadable(let path, let why):
                "[Access] AdminTokenFile=\(path) cannot be read: \(why); make it readable for the "
                    + "daemon's user, or remove it and a new one is made"
            case .unwritable(let path, let error):
                "[Access] AdminTokenFile=\(path) cannot be made: \(error); give the daemon's user "
                    + "a directory it may write to"
            case .tooShort(let path):
                "[Access] AdminTokenFile=\(path) holds fewer than 16 characters; remove it and a "
                    + "new token is made"
            }
        }
    }
}
