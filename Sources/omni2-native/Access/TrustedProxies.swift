import OmniCore
import OmniIO

/// `[Access] TrustedProxies=`: whose `X-User-*` headers are believed.
struct TrustedProxies {
    private let ranges: [AddressRange]
    private let trustsUnix: Bool

    /// Words the configuration has checked: addresses, networks, `unix`.
    init(_ words: [String]) {
        trustsUnix = words.contains("unix")
        ranges = words.compactMap { word in
            let parts = word.split(separator: "/")
            guard let first = parts.first,
                let address = ListenAddress.ip4(String(first)) ?? ListenAddress.ip6(String(first))
            else { return nil }
            return AddressRange(address, bits: parts.count > 1 ? Int(parts[1]) : nil)
        }
    }

    var isEmpty: Bool { ranges.isEmpty && !trustsUnix }

    func trusts(_ peer: SocketAddress?) -> Bool {
        guard let peer, let bytes = peer.bytes else { return trustsUnix && peer?.isPath != false }
        return ranges.contains { $0.contains(bytes) }
    }
}

extension SocketAddress {
    /// Of an internet address.
    var bytes: [UInt8]? {
        switch self {
        case .ipv4(let address, _):
            (0..<4).map { UInt8(truncatingIfNeeded: address >> UInt32(24 - 8 * $0)) }
        case .ipv6(let bytes, _): bytes
        case .path: nil
        }
    }
}
