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
