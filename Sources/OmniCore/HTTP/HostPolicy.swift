/// Which names this server answers to.
///
/// A page of a foreign site can make a browser connect here, by a name of its own that resolves
/// to our address (DNS rebinding); the browser then takes us for that site. The Host header still
/// tells the foreign name, so a request for a name that is not ours is refused: status 421.
public struct HostPolicy: Sendable {
    private let names: HostNames

    /// `names` are host names or addresses, each with or without a port ("omni2.example.com",
    /// "10.0.0.5:8080", "[fd00::5]"). Without a port any port is right. Loopback names are always
    /// allowed.
    public init(names: [String] = []) { self.names = HostNames(names) }

    /// Whether a request for `authority` (`HTTPRequestHead.authority`) is for us.
    public func allows(_ authority: ByteRange, in bytes: RawSpan) -> Bool {
        guard let host = HostAndPort(bytes, authority) else { return false }
        return host.isLoopback(bytes) || names.contains(host, bytes)
    }
}

/// From which pages a browser may call.
///
/// Programs send no Origin and are not concerned. A browser does, on each request a page of
/// another site could cause; only pages of allowed hosts pass. "null" (a sandbox, a file) and
/// several origins never do. Refused: status 403.
public struct OriginPolicy: Sendable {
    private let names: HostNames
    private let origins: HostNames

    /// `origins` are whole origins ("https://omni2.example.com", matched exactly) or host names
    /// (any scheme). Pages from loopback hosts are always allowed.
    public init(origins: [String] = []) {
        self.origins = HostNames(origins.filter { $0.contains("/") })
        names = HostNames(origins.filter { !$0.contains("/") })
    }

    /// `origin` is the value of the Origin header, nil if there is none; `authority` the one the
    /// request is for, already allowed by `HostPolicy`: a page may call the host it came from.
    public func allows(
        _ origin: ByteRange?, authority: ByteRange, in bytes: RawSpan
    ) -> Bool {
        guard let origin else { return true }
        if origins.contains(bytes, origin) { return true }
        let schemeCount: Int
        if Self.begins(bytes, origin, "http://", 7) {
            schemeCount = 7
        } else if Self.begins(bytes, origin, "https://", 8) {
            schemeCount = 8
        } else {
            return false
        }
        let place = ByteRange(from: origin.offset + schemeCount, to: origin.end)
        guard HTTPTarget.isAuthority(bytes, place), let host = HostAndPort(bytes, place) else {
            return false
        }
        return host.isLoopback(bytes) || names.contains(host, bytes)
            || bytes.equalsIgnoringCase(place, authority)
    }

    private static func begins(
        _ bytes: RawSpan, _ origin: ByteRange, _ scheme: StaticString, _ count: Int
    ) -> Bool {
        origin.count > count
            && bytes.equalsIgnoringCase(ByteRange(offset: origin.offset, count: count), scheme)
    }
}

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

extension RawSpan {
    /// Whether two ranges hold the same bytes, where ASCII letters match in either case.
    func equalsIgnoringCase(_ first: ByteRange, _ second: ByteRange) -> Bool {
        guard first.count == second.count else { return false }
        for index in 0..<first.count
        where self[first.offset + index].lowercasedASCII
            != self[second.offset + index].lowercasedASCII
        {
            return false
        }
        return true
    }
}
