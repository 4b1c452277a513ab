/// Which addresses belong to the public internet: what may be asked on behalf of somebody who names a
/// URL, so that nobody reaches through us what they could not reach themselves (SSRF).
public enum PublicAddress {
    private static let closed: [AddressRange] = [
        // IPv4: this network, private, shared, loopback, link-local, protocol, documentation,
        // benchmarks, multicast, reserved.
        v4(0, 0, 0, 0, 8), v4(10, 0, 0, 0, 8), v4(100, 64, 0, 0, 10), v4(127, 0, 0, 0, 8),
        v4(169, 254, 0, 0, 16), v4(172, 16, 0, 0, 12), v4(192, 0, 0, 0, 24), v4(192, 0, 2, 0, 24),
        v4(192, 88, 99, 0, 24), v4(192, 168, 0, 0, 16), v4(198, 18, 0, 0, 15),
        v4(198, 51, 100, 0, 24), v4(203, 0, 113, 0, 24), v4(224, 0, 0, 0, 4), v4(240, 0, 0, 0, 4),
        // IPv6: unspecified, loopback and compatible; discard; documentation; unique local;
        // link-local; site-local; multicast. And what carries an IPv4 address inside it.
        v6([], 96), v6([1, 0], 64), v6([0x20, 1, 0x0D, 0xB8], 32), v6([0xFC], 7),
        v6([0xFE, 0x80], 10), v6([0xFE, 0xC0], 10), v6([0xFF], 8), v6([0x20, 2], 16),
        v6([0x20, 1, 0, 0], 32), v6([0, 0x64, 0xFF, 0x9B], 32),
    ].compactMap { $0 }

    /// The address as 4 or 16 bytes.
    public static func isPublic(_ address: [UInt8]) -> Bool {
        guard address.count == 4 || address.count == 16 else { return false }
        return !closed.contains { $0.contains(address) }
    }

    private static func v4(
        _ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, _ bits: Int
    ) -> AddressRange? {
        AddressRange([a, b, c, d], bits: bits)
    }

    private static func v6(_ start: [UInt8], _ bits: Int) -> AddressRange? {
        AddressRange(start + [UInt8](repeating: 0, count: 16 - start.count), bits: bits)
    }
}
