/// Numbers as JSON writes them: text to value, and value to the shortest text that reads back equal.
enum JSONNumber {
    static func isInteger(_ value: ByteRange, in bytes: RawSpan) -> Bool {
        var index = value.offset
        while index < value.end {
            let byte = bytes[index]
            if byte == UInt8(ascii: ".") || byte | 0x20 == UInt8(ascii: "e") { return false }
            index += 1
        }
        return true
    }

    /// Digits between the first and the last that is not zero, both included.
    static func significantDigits(_ value: ByteRange, in bytes: RawSpan) -> Int {
        var significant = 0
        var trailingZeros = 0
        for index in value.offset..<value.end {
            let byte = bytes[index]
            if byte | 0x20 == UInt8(ascii: "e") { break }
            if byte == UInt8(ascii: "0") {
                if significant > 0 { trailingZeros += 1 }
            } else if byte > UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
                significant += trailingZeros + 1
                trailingZeros = 0
            }
        }
        return significant
    }

    static func int(_ value: ByteRange, in bytes: RawSpan) -> Int64? {
        var index = value.offset
        let isNegative = index < value.end && bytes[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        guard index < value.end else { return nil }
        var result: Int64 = 0
        while index < value.end {
            let digit = bytes[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            let (product, overflow) = result.multipliedReportingOverflow(by: 10)
            // Counting downwards reaches Int64.min, whose magnitude has no positive twin.
            let (sum, carried) = product.subtractingReportingOverflow(Int64(digit))
            if overflow || carried { return nil }
            result = sum
            index += 1
        }
        if isNegative { return result }
        return result == .min ? nil : -result
    }

    static func double(_ value: ByteRange, in bytes: RawSpan) -> Double? {
        if let int = int(value, in: bytes), int.magnitude < 1 << 53, int != 0 { return Double(int) }
        var text: [UInt8] = []
        text.append(value, of: bytes)
        return Double(String(decoding: text, as: UTF8.self))
    }

    /// Appends a double so that it reads back equal; JSON has no infinities, they become null.
    static func append(_ value: Double, to json: inout [UInt8]) {
        guard value.isFinite else { return json.append("null") }
        json.append(contentsOf: value.description.utf8)
    }

    static func append(_ value: Int64, to json: inout [UInt8]) {
        if value < 0 { json.append(UInt8(ascii: "-")) }
        append(value.magnitude, to: &json)
    }

    static func append(_ value: UInt64, to json: inout [UInt8]) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            json.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }
}

/// The shortest decimal that reads back as the same double: digits and the place of the point.
///
/// The value is 0.d₁d₂d₃… × 10^`point`. Both canonical forms are layouts of this one thing.
struct ShortestDecimal {
    var isNegative: Bool
    /// ASCII digits without leading or trailing zeros; a single zero for 0.
    var digits: [UInt8]
    var point: Int

    init(_ value: Double) {
        precondition(value.isFinite, "only finite doubles have digits")
        isNegative = value.sign == .minus
        digits = []
        point = 0
        var exponent = 0
        var hasPoint = false
        var readsExponent = false
        var exponentIsNegative = false
        // The standard library prints the shortest digits; only its layout is not ours.
        for byte in value.magnitude.description.utf8 {
            switch byte {
            case UInt8(ascii: "."): hasPoint = true
            case UInt8(ascii: "e"): readsExponent = true
            case UInt8(ascii: "-"): exponentIsNegative = true
            case UInt8(ascii: "+"): break
            default:
                if readsExponent {
                    exponent = exponent * 10 + Int(byte - UInt8(ascii: "0"))
                } else {
                    digits.append(byte)
                    if !hasPoint { point += 1 }
                }
            }
        }
        point += exponentIsNegative ? -exponent : exponent
        let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leadingZeros)
        point -= leadingZeros
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        if digits.isEmpty {
            digits = [UInt8(ascii: "0")]
            point = 1
        }
    }

    var isZero: Bool { digits == [UInt8(ascii: "0")] }

    /// Python's `repr`: always a fraction or an exponent, exponent form below 1e-4 and from 1e16.
    func appendPython(to text: inout [UInt8]) {
        if isNegative { text.append(UInt8(ascii: "-")) }
        if point > -4 && point <= 16 {
            appendPositional(to: &text)
            if point >= digits.count { text.append(".0") }
        } else {
            appendExponent(twoDigits: true, to: &text)
        }
    }

    /// ECMAScript's `Number::toString`, which RFC 8785 prescribes.
    func appendECMAScript(to text: inout [UInt8]) {
        if isZero { return text.append(UInt8(ascii: "0")) }
        if isNegative { text.append(UInt8(ascii: "-")) }
        if point > -6 && point <= 21 {
            appendPositional(to: &text)
        } else {
            appendExponent(twoDigits: false, to: &text)
        }
    }

    private func appendPositional(to text: inout [UInt8]) {
        if point <= 0 {
            text.append("0.")
            text.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: -point))
            text.append(contentsOf: digits)
        } else if point >= digits.count {
            text.append(contentsOf: digits)
            text.append(
                contentsOf: repeatElement(UInt8(ascii: "0"), count: point - digits.count))
        } else {
            text.append(contentsOf: digits[..<point])
            text.append(UInt8(ascii: "."))
            text.append(contentsOf: digits[point...])
        }
    }

    private func appendExponent(twoDigits: Bool, to text: inout [UInt8]) {
        text.append(digits[0])
        if digits.count > 1 {
            text.append(UInt8(ascii: "."))
            text.append(contentsOf: digits[1...])
        }
        let exponent = point - 1
        text.append(exponent < 0 ? "e-" : "e+")
        if twoDigits && exponent.magnitude < 10 { text.append(UInt8(ascii: "0")) }
        JSONNumber.append(UInt64(exponent.magnitude), to: &text)
    }
}
