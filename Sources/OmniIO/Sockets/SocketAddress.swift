internal import CShims.Linux
internal import Glibc
import OmniCore

/// Where a socket listens or connects: an IPv4 or IPv6 address with a port, or a path.
public enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
    case ipv4(UInt32, port: UInt16)
    case ipv6([UInt8], port: UInt16)
    case path(String)

    /// Reads `127.0.0.1:8090`, `[::1]:8090`, `/run/omni2/http.sock` or `@abstract`; nil otherwise.
    /// Names are not resolved: a listener says exactly where it is.
    public init?(_ text: String) {
        if text.hasPrefix("/") || text.hasPrefix("@") {
            guard text.utf8.count < 108 else { return nil }
            self = .path(text)
            return
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        let host = String(text[..<colon])
        if host.hasPrefix("[") && host.hasSuffix("]") {
            var address = in6_addr()
            guard unsafe inet_pton(AF_INET6, String(host.dropFirst().dropLast()), &address) == 1
            else { return nil }
            self = .ipv6(unsafe withUnsafeBytes(of: &address) { unsafe Array($0) }, port: port)
        } else {
            var address = in_addr()
            guard unsafe inet_pton(AF_INET, host, &address) == 1 else { return nil }
            self = .ipv4(UInt32(bigEndian: address.s_addr), port: port)
        }
    }

    /// The peer's or the own address of a connected socket; nil for families we do not speak.
    init?(_ storage: sockaddr_storage, length: socklen_t) {
        var storage = storage
        switch Int32(storage.ss_family) {
        case AF_INET:
            let address = unsafe withUnsafeBytes(of: &storage) {
                unsafe $0.load(as: sockaddr_in.self)
            }
            self = .ipv4(
                UInt32(bigEndian: address.sin_addr.s_addr),
                port: UInt16(bigEndian: address.sin_port))
        case AF_INET6:
            var address = unsafe withUnsafeBytes(of: &storage) {
                unsafe $0.load(as: sockaddr_in6.self)
            }
            let bytes = unsafe withUnsafeBytes(of: &address.sin6_addr) { unsafe Array($0) }
            self = .ipv6(bytes, port: UInt16(bigEndian: address.sin6_port))
        case AF_UNIX:
            var address = unsafe withUnsafeBytes(of: &storage) {
                unsafe $0.load(as: sockaddr_un.self)
            }
            let path = unsafe withUnsafeBytes(of: &address.sun_path) { bytes in
                unsafe Array(bytes.prefix { $0 != 0 })
            }
            self = .path(String(decoding: path, as: UTF8.self))
        default: return nil
        }
    }

    public var isPath: Bool { if case .path = self { true } else { false } }

    public var port: UInt16? {
        switch self {
        case .ipv4(_, let port), .ipv6(_, let port): port
        case .path: nil
        }
    }

    /// True for 127.0.0.0/8, ::1 and sockets with a path: nobody from outside comes this way.
    public var isLoopback: Bool {
        switch self {
        case .ipv4(let address, _): address >> 24 == 127
        case .ipv6(let bytes, _): bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
        case .path: true
        }
    }

    /// The address without the port, for limits per peer and for the journal.
    public var host: String {
        switch self {
        case .ipv4(let address, _):
            var text = ByteWriter(capacity: 15)
            for place: UInt32 in [24, 16, 8, 0] {
                if place < 24 { text.append(UInt8(ascii: ".")) }
                text.append(decimal: UInt64(address >> place & 0xFF))
            }
            return text.string()
        case .ipv6(let bytes, _):
            var address = in6_addr()
            unsafe withUnsafeMutableBytes(of: &address) { unsafe $0.copyBytes(from: bytes) }
            var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            _ = unsafe inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
            return String(
                decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        case .path(let path): return path
        }
    }

    public var description: String {
        switch self {
        case .ipv4(_, let port): "\(host):\(port)"
        case .ipv6(_, let port): "[\(host)]:\(port)"
        case .path(let path): path
        }
    }

    var family: Int32 {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .path: AF_UNIX
        }
    }

    var length: socklen_t {
        switch self {
        case .ipv4: socklen_t(MemoryLayout<sockaddr_in>.size)
        case .ipv6: socklen_t(MemoryLayout<sockaddr_in6>.size)
        case .path(let path) where path.hasPrefix("@"):
            socklen_t(MemoryLayout<sa_family_t>.size + path.utf8.count)
        case .path: socklen_t(MemoryLayout<sockaddr_un>.size)
        }
    }

    /// The kernel's form, in memory the caller frees.
    func copyOut() -> UnsafeMutablePointer<sockaddr> {
        let size = MemoryLayout<sockaddr_storage>.size
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        switch self {
        case .ipv4(let address, let port):
            var value = sockaddr_in()
            value.sin_family = sa_family_t(AF_INET)
            value.sin_port = port.bigEndian
            value.sin_addr.s_addr = address.bigEndian
            unsafe memory.copyMemory(from: &value, byteCount: MemoryLayout<sockaddr_in>.size)
        case .ipv6(let bytes, let port):
            var value = sockaddr_in6()
            value.sin6_family = sa_family_t(AF_INET6)
            value.sin6_port = port.bigEndian
            unsafe withUnsafeMutableBytes(of: &value.sin6_addr) {
                unsafe $0.copyBytes(from: bytes)
            }
            unsafe memory.copyMemory(from: &value, byteCount: MemoryLayout<sockaddr_in6>.size)
        case .path(let path):
            var value = sockaddr_un()
            value.sun_family = sa_family_t(AF_UNIX)
            unsafe withUnsafeMutableBytes(of: &value.sun_path) { target in
                unsafe target.copyBytes(from: path.utf8)
                if path.hasPrefix("@") { unsafe target[0] = 0 }
            }
            unsafe memory.copyMemory(from: &value, byteCount: MemoryLayout<sockaddr_un>.size)
        }
        return unsafe memory.bindMemory(to: sockaddr.self, capacity: 1)
    }
}
