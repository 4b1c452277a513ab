internal import CShims.PostgreSQL
internal import Glibc

/// Where a PostgreSQL server is and how to come in: the parts of a connection URL, with the host's
/// name already looked up, so that libpq never blocks on it.
///
/// It carries the password, so its description names the host alone.
struct PostgresTarget: Sendable, CustomStringConvertible {
    private(set) var parameters: [(keyword: String, value: String)]

    /// What is set where the URL says nothing. A dead peer is noticed within half a minute.
    private static let defaults = [
        ("application_name", "omni2-native"), ("client_encoding", "UTF8"),
        ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
        ("tcp_user_timeout", "15000"),
        // Kerberos asks a network service, and blocks.
        ("gssencmode", "disable"),
    ]
    /// Addresses tried in turn; a name with more is cut off there.
    private static let addressesMax = 8

    /// Reads a URL or a `key=value` text, and looks its host names up. Blocks: offload it.
    /// The addresses found are rotated by `rotation`.
    static func resolve(_ url: String, rotation: Int) -> Result<PostgresTarget, SQLError> {
        do throws(SQLError) {
            var target = PostgresTarget(parameters: try parse(url))
            for (keyword, value) in defaults where target[keyword] == nil {
                target[keyword] = value
            }
            try target.lookUpHosts(rotation)
            return .success(target)
        } catch {
            return .failure(error)
        }
    }

    var description: String { self["host"] ?? "local socket" }

    private subscript(keyword: String) -> String? {
        get { parameters.first { $0.keyword == keyword }?.value }
        set {
            parameters.removeAll { $0.keyword == keyword }
            if let newValue { parameters.append((keyword, newValue)) }
        }
    }

    private static func parse(_ url: String) throws(SQLError) -> [(keyword: String, value: String)]
    {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = unsafe PQconninfoParse(url, &message) else {
            defer { unsafe PQfreemem(message) }
            // The text may quote the URL, and with it the password.
            throw .connectionLost("the database URL cannot be read")
        }
        defer { unsafe PQconninfoFree(options) }
        var parameters: [(keyword: String, value: String)] = []
        var option = unsafe options
        while let keyword = unsafe option.pointee.keyword {
            if let value = unsafe option.pointee.val {
                parameters.append((unsafe String(cString: keyword), unsafe String(cString: value)))
            }
            unsafe option += 1
        }
        return parameters
    }

    /// `host` stays for the check of the certificate; `hostaddr` is where libpq goes. Both are lists
    /// of equal length, as `port` is where it was one.
    private mutating func lookUpHosts(_ rotation: Int) throws(SQLError) {
        let names = self["host"] ?? Self.environment("PGHOST") ?? ""
        guard self["hostaddr"] == nil, !names.isEmpty else { return }
        let hosts = names.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let ports = (self["port"] ?? "").split(separator: ",", omittingEmptySubsequences: false)
        var places: [(host: String, address: String, port: String)] = []
        var failure = ""
        for (index, host) in hosts.enumerated() {
            let port = ports.count == hosts.count ? ports[index] : ports.first ?? ""
            do throws(SQLError) {
                for address in try Self.addresses(of: host) {
                    places.append((host, address, String(port)))
                }
            } catch { failure = error.reason }
        }
        if places.isEmpty { throw .connectionLost(failure) }
        let first = rotation % places.count
        places = Array(places[first...] + places[..<first])
        self["host"] = places.map(\.host).joined(separator: ",")
        self["hostaddr"] = places.map(\.address).joined(separator: ",")
        if self["port"] != nil { self["port"] = places.map(\.port).joined(separator: ",") }
    }

    /// libpq looks there too.
    private static func environment(_ name: String) -> String? {
        guard let text = unsafe getenv(name) else { return nil }
        return unsafe String(cString: text)
    }

    /// An empty address where there is nothing to look up: a socket's path.
    private static func addresses(of host: String) throws(SQLError) -> [String] {
        if host.isEmpty || host.hasPrefix("/") || host.hasPrefix("@") { return [""] }
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else {
            let reason = unsafe String(cString: gai_strerror(status))
            throw .connectionLost("\(host): \(reason)")
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [String] = []
        var next = unsafe list
        while let entry = unsafe next, addresses.count < addressesMax {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let named = unsafe getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil,
                0, NI_NUMERICHOST)
            if named == 0 {
                let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                addresses.append(String(decoding: bytes, as: UTF8.self))
            }
            unsafe next = unsafe entry.pointee.ai_next
        }
        return addresses
    }
}
