/// A network: `10.0.0.0/8`, `fd00::/8`, or one address. Addresses are their bytes, 4 or 16.
///
/// An IPv4 address that comes in IPv6 clothes (`::ffff:10.0.0.1`) is what it is inside.
public struct AddressRange: Hashable, Sendable {
    private let bytes: [UInt8]
    private let bits: Int

    /// Nil when `bits` is more than the address has.
    public init?(_ address: [UInt8], bits: Int? = nil) {
        let count = bits ?? address.count * 8
        guard address.count == 4 || address.count == 16, (0...address.count * 8).contains(count)
        else { return nil }
        bytes = address
        self.bits = count
    }

    public func contains(_ address: [UInt8]) -> Bool {
        let address = bytes.count == 4 ? Self.unmapped(address) : address
        guard address.count == bytes.count else { return false }
        let whole = bits / 8
        guard bytes.prefix(whole).elementsEqual(address.prefix(whole)) else { return false }
        let rest = bits % 8
        guard rest > 0 else { return true }
        let mask = UInt8(truncatingIfNeeded: 0xFF << (8 - rest))
        return bytes[whole] & mask == address[whole] & mask
    }

    private static func unmapped(_ address: [UInt8]) -> [UInt8] {
        let prefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return address.count == 16 && address.starts(with: prefix) ? Array(address[12...]) : address
    }
}
