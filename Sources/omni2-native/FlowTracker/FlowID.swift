import OmniCore

/// The id of a flow or of one of its nodes: a random UUID (RFC 9562, version 4).
struct FlowID: Hashable, Sendable {
    let high: UInt64
    let low: UInt64

    /// Any 128 bits become a UUID of version 4.
    init(random high: UInt64, _ low: UInt64) {
        self.high = high & ~0xF000 | 0x4000
        self.low = low & ~(3 << 62) | 1 << 63
    }

    /// Any UUID, in the usual form of 36 characters; nil for anything else.
    init?(_ text: String) {
        let digits = Array(text.utf8)
        guard digits.count == 36 else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        var count = 0
        for (index, digit) in digits.enumerated() {
            if [8, 13, 18, 23].contains(index) {
                if digit != UInt8(ascii: "-") { return nil }
                continue
            }
            guard let value = Self.value(digit) else { return nil }
            if count < 16 { words.0 = words.0 << 4 | value } else { words.1 = words.1 << 4 | value }
            count += 1
        }
        (high, low) = words
    }

    private static func value(_ digit: UInt8) -> UInt64? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(digit - 48)
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(digit - 87)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(digit - 55)
        default: nil
        }
    }

    var text: String {
        let digits = Array("0123456789abcdef".utf8)
        return unsafe String(unsafeUninitializedCapacity: 36) { buffer in
            var place = 0
            for nibble in 0..<32 {
                if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 {
                    unsafe buffer[place] = UInt8(ascii: "-")
                    place += 1
                }
                let word = nibble < 16 ? high : low
                let value = word >> UInt64(60 - 4 * (nibble & 15)) & 15
                unsafe buffer[place] = digits[Int(value)]
                place += 1
            }
            return place
        }
    }
}

/// Makes ids: a seed that nobody can guess, then a fast sequence. Ids name things; they open nothing.
struct FlowIDSource {
    private var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func next() -> FlowID { FlowID(random: random.next(), random.next()) }
}
