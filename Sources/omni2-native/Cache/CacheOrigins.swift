import OmniCore
import OmniIO

/// What the entries of each server are answers of: a fingerprint of its configuration and its lists.
///
/// A successor that continues the segments keeps a server's entries only if the server it connects
/// to is still the same. The fingerprints are in the state directory, written before any entry of
/// the server they describe; what is missing there counts as changed.
final class CacheOrigins {
    private let path: String
    private let log: Log
    /// As the predecessor left them; each is asked once, by the first connection.
    private var inherited: [String: String] = [:]
    private var current: [String: String] = [:]

    private static let bytesMax = 4 << 20

    /// `isContinued`: entries of a predecessor are there, and its file speaks of them.
    init(path: String, isContinued: Bool, log: Log) {
        self.path = path
        self.log = log
        guard isContinued else { return }
        do throws(Files.ReadError) {
            let text = try Files.read(path, bytesMax: Self.bytesMax)
            // A file that is no JSON was being written when the power failed: nothing is known.
            let value = (try? JSONValue(parsing: text)) ?? [:]
            for (name, print) in value.object?.members ?? [] { inherited[name] = print.string }
        } catch {
            log.debug("no origins of cached results", fields: ["error": error.description])
        }
    }

    /// Whether the predecessor's entries of this server may stay. True at most once per server.
    func isUnchanged(_ server: String, _ fingerprint: String) -> Bool {
        inherited.removeValue(forKey: server) == fingerprint
    }

    func note(_ server: String, _ fingerprint: String) {
        guard current.updateValue(fingerprint, forKey: server) != fingerprint else { return }
        save()
    }

    func forget(_ server: String) {
        inherited[server] = nil
        if current.removeValue(forKey: server) != nil { save() }
    }

    private func save() {
        // Those that have not connected yet are as the predecessor left them.
        let all = inherited.merging(current) { $1 }.sorted { $0.key < $1.key }
        let value = JSONValue.object(
            JSONObject(all.map { (name: $0.key, value: .string($0.value)) }))
        do throws(SystemError) {
            try Files.replace(path, value.bytes, mode: 0o600)
        } catch {
            log.warning(
                "origins of cached results cannot be kept, a restart begins with an empty cache",
                fields: ["path": path, "error": error])
            // An old file could speak for entries that it does not know. If it cannot be removed
            // either, the directory is gone, and the file with it.
            try? Files.remove(path)
        }
    }
}

extension LiveServer {
    /// Equal as long as the same call means the same to this server: who it is, how it is reached,
    /// what it offers.
    var fingerprint: String {
        let own = record.configuration
        var parts: [[UInt8]] = [own.url, own.transport, own.metaData].map { Array($0.utf8) }
        parts.append(contentsOf: own.authentication.parts.map { Array($0.utf8) })
        if let catalogue = upstream?.catalogue {
            parts.append(contentsOf: Self.identity(catalogue.serverInfo))
            parts.append(contentsOf: catalogue.tools.map(\.canonical))
        }
        var text: [UInt8] = []
        for part in parts {
            text += Array("\(part.count):".utf8)
            text += part
        }
        var hex = ByteWriter(capacity: 64)
        Digest.sha256(text).withRawSpan { Hex.encode($0, into: &hex) }
        return hex.string()
    }

    /// Name and version alone: the rest differs between the eras a server can be spoken to in.
    private static func identity(_ serverInfo: [UInt8]) -> [[UInt8]] {
        serverInfo.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            let members: [StaticString] = ["name", "version"]
            return members.map { member in
                JSONScanner.member(member, of: whole, in: bytes).map {
                    JSONScanner.copy($0, from: bytes)
                } ?? []
            }
        }
    }
}

extension ServerConfiguration.Authentication {
    fileprivate var parts: [String] {
        switch self {
        case .none: ["none"]
        case .bearer(let token): ["bearer", token]
        case .apiKey(let header, let key): ["key", header, key]
        case .headers(let headers): ["headers"] + headers.flatMap { [$0.name, $0.value] }
        case .oauth(let client): ["oauth", client.tokenURL, client.id, client.secret]
        case .unreadable(let type, _): ["unreadable", type]
        }
    }
}
