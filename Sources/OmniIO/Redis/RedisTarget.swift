internal import OmniCore

/// Where a Redis is, and how to log in: `redis://[user:password@]host[:port][/db]` or
/// `unix:///path[?db=N]`.
public struct RedisTarget: Sendable, Hashable {
    public enum Place: Sendable, Hashable {
        case network(host: String, port: Int)
        case path(String)
    }

    public let place: Place
    /// Nil for the only user of old.
    public let user: String?
    public let password: Secret?
    public let database: Int

    /// Nil for a text that is no such URL.
    public init?(_ url: String) {
        if let rest = Self.dropping("unix://", url) {
            let parts = rest.split(separator: "?", maxSplits: 1)
            guard let path = parts.first, path.hasPrefix("/") else { return nil }
            var database = 0
            if parts.count == 2 {
                guard parts[1].hasPrefix("db="), let number = Int(parts[1].dropFirst(3)) else {
                    return nil
                }
                database = number
            }
            self.init(.path(String(path)), nil, nil, database)
            return
        }
        guard let rest = Self.dropping("redis://", url) else { return nil }
        let halves = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        var database = 0
        if halves.count == 2, !halves[1].isEmpty {
            guard let number = Int(halves[1]) else { return nil }
            database = number
        }
        // A password may hold an @ of its own: the last one ends it.
        let authority = halves[0]
        let at = authority.lastIndex(of: "@")
        let address = at.map { authority[authority.index(after: $0)...] } ?? authority
        guard let (host, port) = Self.address(address) else { return nil }
        var (user, password): (String?, String?) = (nil, nil)
        if let at {
            let words = authority[..<at].split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard words.count == 2, let name = Self.decoded(words[0]),
                let word = Self.decoded(words[1])
            else { return nil }
            (user, password) = (name.isEmpty ? nil : name, word)
        }
        self.init(.network(host: host, port: port), user, password, database)
    }

    private init(_ place: Place, _ user: String?, _ password: String?, _ database: Int) {
        self.place = place
        self.user = user
        self.password = password.map { Secret($0) }
        self.database = database
    }

    private static func dropping(_ prefix: String, _ text: String) -> Substring? {
        text.hasPrefix(prefix) ? text.dropFirst(prefix.count) : nil
    }

    /// `host`, `host:port`, `[IPv6]:port`.
    private static func address(_ text: Substring) -> (host: String, port: Int)? {
        var host = text
        var rest: Substring = ""
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            rest = text[colon...]
        }
        if host.isEmpty { return nil }
        if rest.isEmpty { return (String(host), 6379) }
        guard rest.hasPrefix(":"), let port = Int(rest.dropFirst()), (1...65535).contains(port)
        else { return nil }
        return (String(host), port)
    }

    private static func decoded(_ text: Substring) -> String? {
        let bytes = Array(text.utf8)
        return bytes.withRawSpan {
            PercentEncoding.decoded($0, ByteRange(offset: 0, count: bytes.count), as: .path)
        }
    }
}

extension RedisTarget: CustomStringConvertible {
    /// Without the password.
    public var description: String {
        switch place {
        case .network(let host, let port): "redis://\(host):\(port)/\(database)"
        case .path(let path): "unix://\(path)?db=\(database)"
        }
    }
}
