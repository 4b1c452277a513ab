/// Where the daemon listens: an address and port, or the path of a Unix socket. Numeric only: a name
/// would make the start depend on a resolver.
enum ListenAddress: Hashable, Sendable {
    case ip4([UInt8], port: UInt16)
    case ip6([UInt8], port: UInt16)
    case socket(String)

    /// `127.0.0.1:8090`, `[::1]:8090`, `/run/omni2/admin.sock`.
    init?(_ text: String) {
        if text.hasPrefix("/") {
            // What fits into sockaddr_un, its final zero included.
            guard text.utf8.count <= 107 else { return nil }
            self = .socket(text)
            return
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = ConfigurationText.count(String(text[text.index(after: colon)...])),
            (1...65_535).contains(port)
        else { return nil }
        let host = text[..<colon]
        if host.first == "[", host.last == "]" {
            guard let bytes = Self.ip6(String(host.dropFirst().dropLast())) else { return nil }
            self = .ip6(bytes, port: UInt16(port))
        } else {
            guard let bytes = Self.ip4(String(host)) else { return nil }
            self = .ip4(bytes, port: UInt16(port))
        }
    }

    static func address(_ host: String, port: UInt16) -> ListenAddress {
        guard let bytes = ip4(host) else { preconditionFailure("\(host) is no IPv4 address") }
        return .ip4(bytes, port: port)
    }

    var text: String {
        switch self {
        case .ip4(let bytes, let port): "\(Self.text(ip4: bytes)):\(port)"
        case .ip6(let bytes, let port): "[\(Self.text(ip6: bytes))]:\(port)"
        case .socket(let path): path
        }
    }

    /// The address as text without port; nil for a Unix socket.
    var host: String? {
        switch self {
        case .ip4(let bytes, _): Self.text(ip4: bytes)
        case .ip6(let bytes, _): Self.text(ip6: bytes)
        case .socket: nil
        }
    }

    /// An address, or an address and the number of bits that count: `10.0.0.0/8`.
    static func isNetwork(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first else { return false }
        let bits = ip4(String(first)) != nil ? 32 : ip6(String(first)) != nil ? 128 : 0
        guard bits > 0 else { return false }
        if parts.count == 1 { return true }
        guard let count = ConfigurationText.count(String(parts[1])) else { return false }
        return count <= bits
    }

    static func ip4(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard part.utf8.count <= 3, let number = ConfigurationText.count(String(part)),
                let byte = UInt8(exactly: number)
            else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    static func ip6(_ text: String) -> [UInt8]? {
        guard let gap = text.firstRange(of: "::") else {
            guard let words = words(text), words.count == 8 else { return nil }
            return bytes(words)
        }
        guard let head = words(String(text[..<gap.lowerBound])),
            let tail = words(String(text[gap.upperBound...])), head.count + tail.count < 8
        else { return nil }
        let zeros = [UInt16](repeating: 0, count: 8 - head.count - tail.count)
        return bytes(head + zeros + tail)
    }

    private static func words(_ text: String) -> [UInt16]? {
        if text.isEmpty { return [] }
        var words: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains("."), let last = ip4(String(part)) {
                words.append(UInt16(last[0]) << 8 | UInt16(last[1]))
                words.append(UInt16(last[2]) << 8 | UInt16(last[3]))
                continue
            }
            guard (1...4).contains(part.utf8.count), part.allSatisfy(\.isHexDigit),
                let word = UInt16(part, radix: 16)
            else { return nil }
            words.append(word)
        }
        return words
    }

    private static func bytes(_ words: [UInt16]) -> [UInt8] {
        words.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    }

    private static func text(ip4 bytes: [UInt8]) -> String {
        bytes.map { String($0) }.joined(separator: ".")
    }

    /// The longest run of zero words becomes `::`.
    private static func text(ip6 bytes: [UInt8]) -> String {
        let words = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, words[end] == 0 { end += 1 }
            if end - start > max(1, best.count) { best = start..<end }
            start = max(end, start + 1)
        }
        func hex(_ range: Range<Int>) -> String {
            words[range].map { String($0, radix: 16) }.joined(separator: ":")
        }
        return best.isEmpty
            ? hex(0..<8) : "\(hex(0..<best.lowerBound))::\(hex(best.upperBound..<8))"
    }
}
