/// The dialect in which editors keep their settings: comments, and a comma after the last element.
public enum JSONWithComments {
    /// The same text as plain JSON, byte for byte in the same places, so that errors name the right
    /// ones. Text that is no JSON otherwise stays none.
    public static func plain(_ text: [UInt8]) -> [UInt8] {
        var plain = text
        var index = 0
        /// The comma that would be too much if the container ended next.
        var comma: Int?
        while index < plain.count {
            switch plain[index] {
            case UInt8(ascii: "\""):
                comma = nil
                index = endOfString(plain, from: index)
            case UInt8(ascii: "/"):
                let end = endOfComment(plain, from: index)
                for place in index..<end where plain[place] != 10 {
                    plain[place] = UInt8(ascii: " ")
                }
                if end == index { comma = nil }
                index = max(end, index + 1)
            case UInt8(ascii: ","):
                comma = index
                index += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if let comma { plain[comma] = UInt8(ascii: " ") }
                comma = nil
                index += 1
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default:
                comma = nil
                index += 1
            }
        }
        return plain
    }

    private static func endOfString(_ text: [UInt8], from start: Int) -> Int {
        var index = start + 1
        while index < text.count {
            if text[index] == UInt8(ascii: "\"") { return index + 1 }
            index += text[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return text.count
    }

    /// `start` itself when there is no comment.
    private static func endOfComment(_ text: [UInt8], from start: Int) -> Int {
        guard start + 1 < text.count else { return start }
        if text[start + 1] == UInt8(ascii: "/") {
            return text[start...].firstIndex(of: 10) ?? text.count
        }
        guard text[start + 1] == UInt8(ascii: "*") else { return start }
        var index = start + 2
        while index + 1 < text.count {
            if text[index] == UInt8(ascii: "*"), text[index + 1] == UInt8(ascii: "/") {
                return index + 2
            }
            index += 1
        }
        return text.count
    }
}
