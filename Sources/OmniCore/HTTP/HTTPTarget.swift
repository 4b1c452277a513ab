/// The request target (RFC 9112 §3.2): where it is split into authority, path and query.
enum HTTPTarget {
    static func parse(_ bytes: RawSpan, into head: inout HTTPRequestHead) throws(HTTPError) {
        let target = head.target
        // A fragment is never sent; what is not printable ASCII must be percent-encoded.
        for offset in target.range {
            let byte = bytes[offset]
            if byte <= 0x20 || byte >= 0x7F || byte == UInt8(ascii: "#") { throw .invalidTarget }
        }
        if bytes[target.offset] == UInt8(ascii: "/") {
            split(bytes, target, into: &head)
        } else if target.count == 1, bytes[target.offset] == UInt8(ascii: "*") {
            guard head.method == .options else { throw .invalidTarget }
            head.path = target
        } else {
            try parseAbsolute(bytes, target, into: &head)
        }
    }

    /// `http://authority/path?query`, as a proxy would send it; its authority outranks Host.
    private static func parseAbsolute(
        _ bytes: RawSpan, _ target: ByteRange, into head: inout HTTPRequestHead
    ) throws(HTTPError) {
        let start = target.offset + schemeCount(bytes, target)
        guard start > target.offset else { throw .invalidTarget }
        var end = start
        while end < target.end, bytes[end] != UInt8(ascii: "/"), bytes[end] != UInt8(ascii: "?") {
            end += 1
        }
        head.authority = ByteRange(from: start, to: end)
        guard end > start, isAuthority(bytes, head.authority) else { throw .invalidTarget }
        split(bytes, ByteRange(from: end, to: target.end), into: &head)
    }

    private static func schemeCount(_ bytes: RawSpan, _ target: ByteRange) -> Int {
        func begins(with scheme: StaticString, _ count: Int) -> Bool {
            target.count > count
                && bytes.equalsIgnoringCase(
                    ByteRange(offset: target.offset, count: count), scheme)
        }
        return begins(with: "http://", 7) ? 7 : begins(with: "https://", 8) ? 8 : 0
    }

    private static func split(
        _ bytes: RawSpan, _ range: ByteRange, into head: inout HTTPRequestHead
    ) {
        let mark = bytes.firstOffset(of: UInt8(ascii: "?"), from: range.offset, to: range.end)
        head.path = ByteRange(from: range.offset, to: mark ?? range.end)
        head.query = mark.map { ByteRange(from: $0 + 1, to: range.end) } ?? .empty
    }

    /// Whether the characters are those of `host[:port]`; user information is not.
    static func isAuthority(_ bytes: RawSpan, _ range: ByteRange) -> Bool {
        for offset in range.range where !bytes[offset].isAuthorityCharacter { return false }
        return true
    }
}
