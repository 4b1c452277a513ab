/// Names under which the gateway offers what its servers have: `{server}__{tool}`.
///
/// Model interfaces accept 64 characters of `[A-Za-z0-9_-]`. Other characters become `_` and long
/// names are shortened with a hash of the full name, so a name is not reversible by parsing: it
/// belongs in a `NameTable`. The same pair gives the same name on every host and after each restart.
public enum ToolName {
    public static let separator = "__"
    public static let bytesMax = 64
    /// `_` and the digits of the hash at the end of a shortened or disambiguated name.
    static let hashDigits = 10

    /// The name without regard to others; nil-free and always valid.
    public static func plain(server: String, tool: String) -> String {
        let full = mapped(server) + separator + mapped(tool)
        return full.utf8.count <= bytesMax ? full : hashed(server: server, tool: tool)
    }

    /// Whether `plain` lost anything: then the full name belongs in the tool's title.
    public static func isExact(server: String, tool: String) -> Bool {
        server.utf8.count + tool.utf8.count + separator.utf8.count <= bytesMax
            && server.utf8.allSatisfy(isAllowed) && tool.utf8.allSatisfy(isAllowed)
    }

    /// As much of the name as fits, then the hash of all of it.
    static func hashed(server: String, tool: String, salt: UInt64 = 0) -> String {
        let readable = Array((mapped(server) + separator + mapped(tool)).utf8)
        let kept = readable.prefix(bytesMax - hashDigits - 1)
        return String(decoding: kept, as: UTF8.self) + "_" + digits(server, tool, salt)
    }

    private static func mapped(_ text: String) -> String {
        // One underscore per character, so that é and e do not differ in length by encoding.
        String(
            decoding: text.unicodeScalars.map { scalar in
                scalar.isASCII && isAllowed(UInt8(scalar.value))
                    ? UInt8(scalar.value) : UInt8(ascii: "_")
            }, as: UTF8.self)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// 50 bits of FNV-1a with a final mix, in 32 letters and digits.
    static func digits(_ server: String, _ tool: String, _ salt: UInt64) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ salt
        func feed(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        for byte in server.utf8 { feed(byte) }
        // Not part of any UTF-8 text, so "ab","c" and "a","bc" differ.
        feed(0xFF)
        for byte in tool.utf8 { feed(byte) }
        hash = SplitMix64.mix(hash)
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
        let letters = (0..<hashDigits).map { alphabet[Int(hash >> UInt64(5 * $0) & 31)] }
        return String(decoding: letters, as: UTF8.self)
    }
}

/// Which server and which name there an offered name stands for.
///
/// Built from the whole list at once, so that the names depend on the set and not on the order in
/// which servers came up: of several pairs that would get one name, the one that lost nothing keeps
/// it and the others get the hashed form.
public struct NameTable: Sendable {
    public struct Origin: Hashable, Sendable {
        public var server: String
        public var name: String

        public init(server: String, name: String) {
            self.server = server
            self.name = name
        }
    }

    private var origins: [String: Origin] = [:]
    private var names: [Origin: String] = [:]

    public init(_ entries: [Origin] = []) {
        var groups: [String: [Origin]] = [:]
        for origin in Set(entries) {
            groups[ToolName.plain(server: origin.server, tool: origin.name), default: []].append(
                origin)
        }
        var displaced: [Origin] = []
        for (name, group) in groups {
            let ranked = group.sorted(by: Self.ranksBefore)
            enter(ranked[0], as: name)
            displaced += ranked.dropFirst()
        }
        for origin in displaced.sorted(by: Self.ranksBefore) {
            var salt: UInt64 = 0
            var name: String
            repeat {
                name = ToolName.hashed(server: origin.server, tool: origin.name, salt: salt)
                salt += 1
            } while origins[name] != nil
            enter(origin, as: name)
        }
    }

    public var count: Int { origins.count }

    /// What the offered name stands for.
    public func origin(of name: String) -> Origin? { origins[name] }

    /// The name offered for it.
    public func name(of origin: Origin) -> String? { names[origin] }

    private mutating func enter(_ origin: Origin, as name: String) {
        origins[name] = origin
        names[origin] = name
    }

    private static func ranksBefore(_ left: Origin, _ right: Origin) -> Bool {
        let leftExact = ToolName.isExact(server: left.server, tool: left.name)
        let rightExact = ToolName.isExact(server: right.server, tool: right.name)
        if leftExact != rightExact { return leftExact }
        if left.server.utf8.count != right.server.utf8.count {
            return left.server.utf8.count < right.server.utf8.count
        }
        return left.server == right.server
            ? left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
            : left.server.utf8.lexicographicallyPrecedes(right.server.utf8)
    }
}

/// Resource URIs: `{server}+{uri}`, of any length.
///
/// What is offered must be a URI itself: clients parse it. A scheme may hold lower-case letters,
/// digits, `-` and `.`, so a server's name that has others gets a hash of all of it. The original's
/// form, `{server}__{uri}`, is understood as well.
public enum ResourceName {
    public static func prefixed(server: String, uri: String) -> String {
        scheme(of: server) + "+" + uri
    }

    static func scheme(of server: String) -> String {
        var isExact = !server.isEmpty && server.utf8.count <= 64
        var mapped: [UInt8] = []
        for byte in server.utf8.prefix(64) {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): mapped.append(byte)
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
                // A scheme begins with a letter.
                if mapped.isEmpty {
                    mapped.append(UInt8(ascii: "x"))
                    isExact = false
                }
                mapped.append(byte)
            default:
                isExact = false
                let lower = byte.lowercasedASCII
                let isLetter = lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z")
                mapped.append(isLetter ? lower : UInt8(ascii: mapped.isEmpty ? "x" : "-"))
            }
        }
        if mapped.isEmpty { mapped.append(UInt8(ascii: "x")) }
        let text = String(decoding: mapped, as: UTF8.self)
        return isExact ? text : text + "." + ToolName.digits(server, "", 0)
    }

    /// The owner when `uri` carries the prefix of one of `servers`, in either form; the longest name
    /// wins, so that a server `a__b` is not taken for `a`. nil: not prefixed, the owner has to be
    /// looked up.
    public static func split(_ uri: String, servers: some Sequence<String>) -> (
        server: String, uri: String
    )? {
        var owner: String?
        var length = 0
        for server in servers {
            for prefix in [server + ToolName.separator, scheme(of: server) + "+"]
            where uri.utf8.starts(with: prefix.utf8) {
                guard owner.map({ $0.utf8.count < server.utf8.count }) ?? true else { continue }
                owner = server
                length = prefix.utf8.count
            }
        }
        guard let owner else { return nil }
        return (owner, String(decoding: Array(uri.utf8.dropFirst(length)), as: UTF8.self))
    }
}
