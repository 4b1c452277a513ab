// Character classes of RFC 9110 and RFC 3986: 128 bits each, one per ASCII character. Written
// out as numbers because a table built at first use would be checked for that at every byte.

extension UInt8 {
    /// Letters, digits and !#$%&'*+-.^_`|~ : methods, header names, list elements.
    @inline(__always)
    var isTokenCharacter: Bool {
        isIn(0x03FF_6CFA_0000_0000, 0x57FF_FFFF_C7FF_FFFE)
    }

    /// Letters, digits and -._~!$&'()*+,;=%:[] : host names, IPv6 in brackets, port.
    var isAuthorityCharacter: Bool {
        isIn(0x2FFF_7FF2_0000_0000, 0x47FF_FFFE_AFFF_FFFE)
    }

    @inline(__always)
    private func isIn(_ low: UInt64, _ high: UInt64) -> Bool {
        let half = self & 64 == 0 ? low : high
        return self < 128 && half &>> UInt64(self & 63) & 1 != 0
    }
}
