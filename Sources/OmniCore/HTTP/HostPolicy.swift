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
