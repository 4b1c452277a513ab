/// `host[:port]`, taken apart. The host may be an IPv6 address in brackets.
struct HostAndPort {
    /// Host and port as they stand.
    let whole: ByteRange
    /// Without port, and without a dot at its end; an IPv6 address keeps its brackets.
    let host: ByteRange

    /// Nil if it is empty or malformed.
    init?(_ bytes: RawSpan, _ authority: ByteRange) {
        var end = authority.offset
        if authority.isEmpty { return nil }
        if bytes[end] == UInt8(ascii: "[") {
            guard
                let bracket = bytes.firstOffset(
                    of: UInt8(ascii: "]"), from: end, to: authority.end)
            else { return nil }
            end = bracket + 1
        } else {
            while end < authority.end, bytes[end] != UInt8(ascii: ":") { end += 1 }
        }
        if end < authority.end {
            guard bytes[end] == UInt8(ascii: ":") else { return nil }
            for offset in end + 1..<authority.end where !bytes[offset].isDigit { return nil }
        }
        if end > authority.offset, bytes[end - 1] == UInt8(ascii: ".") { end -= 1 }
        guard end > authority.offset else { return nil }
        whole = authority
        host = ByteRange(from: authority.offset, to: end)
    }

    /// localhost, 127.0.0.0/8 or ::1. Browsers never resolve these elsewhere.
    func isLoopback(_ bytes: RawSpan) -> Bool {
        bytes.equalsIgnoringCase(host, "localhost") || bytes.equals(host, "[::1]")
            || isLoopbackIPv4(bytes)
    }

    private func isLoopbackIPv4(_ bytes: RawSpan) -> Bool {
        guard host.count >= 9, bytes.equals(ByteRange(offset: host.offset, count: 4), "127.")
        else { return false }
        var start = host.offset
        for part in 0..<4 {
            let end = bytes.firstOffset(of: UInt8(ascii: "."), from: start, to: host.end)
            guard (end == nil) == (part == 3) else { return false }
            let digits = ByteRange(from: start, to: end ?? host.end)
            guard digits.count <= 3, let value = bytes.decimal(digits), value <= 255 else {
                return false
            }
            start = digits.end + 1
        }
        return true
    }
}

/// A few configured names, in lower case, in one array: looking one up touches no other memory.
struct HostNames: Sendable {
    private var text: [UInt8] = []
    private var ranges: [ByteRange] = []

    init(_ names: [String]) {
        for name in names {
            let lower = name.utf8.map(\.lowercasedASCII)
            ranges.append(ByteRange(offset: text.count, count: lower.count))
            text += lower
        }
    }

    /// Whether the host, with or without its port, is one of the names.
    func contains(_ host: HostAndPort, _ bytes: RawSpan) -> Bool {
        contains(bytes, host.host) || contains(bytes, host.whole)
    }

    func contains(_ bytes: RawSpan, _ range: ByteRange) -> Bool {
        ranges.contains { name in
            name.count == range.count && matches(bytes, range, name)
        }
    }

    private func matches(_ bytes: RawSpan, _ range: ByteRange, _ name: ByteRange) -> Bool {
        for index in 0..<range.count
        where bytes[range.offset + index].lowercasedASCII != text[name.offset + index] {
            return false
        }
        return true
    }
}
