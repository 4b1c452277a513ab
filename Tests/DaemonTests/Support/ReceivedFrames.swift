import OmniCore

/// What a client makes of the bytes that a server sent it after the handshake.
struct ReceivedFrames {
    struct Frame {
        let opcode: UInt8
        let isCompressed: Bool
        let payload: ArraySlice<UInt8>

        var text: String { String(decoding: payload, as: UTF8.self) }
    }

    private(set) var frames: [Frame] = []
    /// Bytes of a frame that did not arrive whole.
    private(set) var rest = 0
    /// A header that no server may send.
    private(set) var isBroken = false

    init(_ bytes: [UInt8]) {
        var position = 0
        while let header = Self.header(bytes, position) {
            let first = bytes[position]
            guard first & 0xB0 == 0x80, bytes[position + 1] & 0x80 == 0,
                [1, 2, 8, 9, 10].contains(first & 0x0F)
            else {
                isBroken = true
                break
            }
            let end = position + header.bytes + header.payload
            guard end <= bytes.count else { break }
            frames.append(
                Frame(
                    opcode: first & 0x0F, isCompressed: first & 0x40 != 0,
                    payload: bytes[(position + header.bytes)..<end]))
            position = end
        }
        rest = bytes.count - position
    }

    private static func header(_ bytes: [UInt8], _ at: Int) -> (bytes: Int, payload: Int)? {
        guard at + 2 <= bytes.count else { return nil }
        let short = Int(bytes[at + 1] & 0x7F)
        let more = short < 126 ? 0 : short == 126 ? 2 : 8
        guard at + 2 + more <= bytes.count else { return nil }
        if more == 0 { return (2, short) }
        var length = 0
        for index in 0..<more { length = length << 8 | Int(bytes[at + 2 + index]) }
        return (2 + more, length)
    }
}

/// Follows the sequence numbers that a client of the hub sees: each is one more than the last,
/// except behind a marked snapshot.
struct SequenceCheck {
    private(set) var expected: UInt64?
    private(set) var events = 0
    private(set) var resyncs = 0
    private(set) var gaps: [String] = []

    init(expected: UInt64? = nil) { self.expected = expected }

    mutating func take(_ text: String) {
        if text.hasPrefix(#"{"type":"note","seq":"#) {
            let sequence = Self.number(text, after: #"{"type":"note","seq":"#)
            events += 1
            if sequence != expected {
                gaps.append("saw \(sequence), wanted \(expected.map(String.init) ?? "a snapshot")")
            }
            expected = sequence + 1
        } else if text.hasPrefix(#"{"type":"initial_status""#) {
            let isResync = text.contains(#""resync":true"#)
            if expected != nil, !isResync { gaps.append("a second snapshot without a mark") }
            if isResync { resyncs += 1 }
            if let place = text.range(of: #""seq":"#) {
                expected = Self.number(text, after: String(text[..<place.upperBound])) + 1
            }
        } else if text.hasPrefix(#"{"type":"resumed","since":"#) {
            expected = Self.number(text, after: #"{"type":"resumed","since":"#) + 1
        }
    }

    private static func number(_ text: String, after prefix: String) -> UInt64 {
        var value: UInt64 = 0
        for byte in text.utf8.dropFirst(prefix.utf8.count) {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { break }
            value = value * 10 + UInt64(byte - UInt8(ascii: "0"))
        }
        return value
    }
}

extension String {
    fileprivate func range(of part: String) -> Range<String.Index>? {
        let (whole, wanted) = (Array(utf8), Array(part.utf8))
        guard wanted.count <= whole.count else { return nil }
        for start in 0...(whole.count - wanted.count)
        where whole[start..<(start + wanted.count)].elementsEqual(wanted) {
            let lower = utf8.index(utf8.startIndex, offsetBy: start)
            return lower..<utf8.index(lower, offsetBy: wanted.count)
        }
        return nil
    }
}
