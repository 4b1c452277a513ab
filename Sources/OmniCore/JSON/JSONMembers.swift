// Cursors over validated containers. They hold offsets only, so that they can live while the bytes
// are passed down with each call.

public struct JSONMember: Hashable, Sendable {
    /// With its quotes, still escaped.
    public var name: ByteRange
    public var value: ByteRange

    public func isNamed(_ text: StaticString, in bytes: RawSpan) -> Bool {
        JSONScanner.equals(name, text, in: bytes)
    }
}

/// Walks the members of an object in the order they were written.
public struct JSONMembers: Sendable {
    private var index: Int
    private let end: Int

    /// A walk over nothing when `object` is not an object.
    public init(of object: ByteRange, in bytes: RawSpan) {
        let isObject = object.count >= 2 && bytes[object.offset] == UInt8(ascii: "{")
        index = isObject ? object.offset + 1 : object.end
        end = isObject ? object.end - 1 : object.end
    }

    public mutating func next(in bytes: RawSpan) -> JSONMember? {
        index = JSONSkip.separators(bytes, from: index, to: end)
        guard index < end else { return nil }
        let nameEnd = JSONSkip.value(bytes, from: index, to: end)
        let valueStart = JSONSkip.separators(bytes, from: nameEnd, to: end)
        let valueEnd = JSONSkip.value(bytes, from: valueStart, to: end)
        defer { index = valueEnd }
        return JSONMember(
            name: ByteRange(offset: index, count: nameEnd - index),
            value: ByteRange(offset: valueStart, count: valueEnd - valueStart))
    }
}

/// Walks the elements of an array.
public struct JSONElements: Sendable {
    private var index: Int
    private let end: Int

    /// A walk over nothing when `array` is not an array.
    public init(of array: ByteRange, in bytes: RawSpan) {
        let isArray = array.count >= 2 && bytes[array.offset] == UInt8(ascii: "[")
        index = isArray ? array.offset + 1 : array.end
        end = isArray ? array.end - 1 : array.end
    }

    public mutating func next(in bytes: RawSpan) -> ByteRange? {
        index = JSONSkip.separators(bytes, from: index, to: end)
        guard index < end else { return nil }
        let valueEnd = JSONSkip.value(bytes, from: index, to: end)
        defer { index = valueEnd }
        return ByteRange(offset: index, count: valueEnd - index)
    }
}

/// Steps over parts of validated text. On other text each step still advances and stays inside.
enum JSONSkip {
    /// White space, comma and colon: in valid text they cannot be told apart by place, so one loop
    /// does for all of them.
    @inline(__always)
    static func separators(_ bytes: RawSpan, from start: Int, to end: Int) -> Int {
        var index = start
        while index < end {
            switch bytes[index] {
            case 0x20, 0x0A, 0x0D, 0x09, UInt8(ascii: ","), UInt8(ascii: ":"): index += 1
            default: return index
            }
        }
        return index
    }

    @inline(__always)
    static func value(_ bytes: RawSpan, from start: Int, to end: Int) -> Int {
        guard start < end else { return end }
        switch bytes[start] {
        case UInt8(ascii: "\""): return string(bytes, from: start, to: end)
        case UInt8(ascii: "{"), UInt8(ascii: "["): return container(bytes, from: start, to: end)
        default: return scalar(bytes, from: start, to: end)
        }
    }

    /// From the opening quote to after the closing one.
    @inline(__always)
    static func string(_ bytes: RawSpan, from start: Int, to end: Int) -> Int {
        var index = start + 1
        while true {
            while index <= end - 8 {
                let special = JSONWords.endOrEscape(JSONWords.load(bytes, at: index))
                if special != 0 {
                    index += JSONWords.firstByte(special)
                    break
                }
                index += 8
            }
            guard index < end else { return end }
            switch bytes[index] {
            case UInt8(ascii: "\""): return index + 1
            case UInt8(ascii: "\\"): index += 2
            default: index += 1
            }
        }
    }

    static func container(_ bytes: RawSpan, from start: Int, to end: Int) -> Int {
        var index = start
        var depth = 0
        while true {
            while index <= end - 8 {
                let special = JSONWords.quoteOrBracket(JSONWords.load(bytes, at: index))
                if special != 0 {
                    index += JSONWords.firstByte(special)
                    break
                }
                index += 8
            }
            guard index < end else { return end }
            switch bytes[index] {
            case UInt8(ascii: "\""): index = string(bytes, from: index, to: end)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                index += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                index += 1
                if depth <= 0 { return index }
            default: index += 1
            }
        }
    }

    static func scalar(_ bytes: RawSpan, from start: Int, to end: Int) -> Int {
        var index = start + 1
        while index < end {
            switch bytes[index] {
            case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), 0x20, 0x0A, 0x0D, 0x09:
                return index
            default: index += 1
            }
        }
        return end
    }
}
