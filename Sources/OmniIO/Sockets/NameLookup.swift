internal import CShims.Linux
internal import Glibc

/// Host names to addresses. Blocks: for the offload thread.
enum NameLookup {
    struct Failure: Error, Sendable {
        let reason: String
    }

    /// The first address of a host, as a text of numbers.
    static func address(of host: String) -> Result<String, Failure> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(host, nil, &hints, &list)
        guard status == 0, let first = unsafe list else {
            return .failure(Failure(reason: unsafe String(cString: gai_strerror(status))))
        }
        defer { unsafe freeaddrinfo(list) }
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let named = unsafe getnameinfo(
            first.pointee.ai_addr, first.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0,
            NI_NUMERICHOST)
        guard named == 0 else { return .failure(Failure(reason: "no address")) }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return .success(String(decoding: bytes, as: UTF8.self))
    }
}
