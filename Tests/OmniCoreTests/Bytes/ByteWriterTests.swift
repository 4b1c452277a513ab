import OmniCore
import Testing

@Suite("Bytes: ByteWriter")
struct ByteWriterTests {
    @Test func whatFitsExactlyIsWritten() {
        var writer = ByteWriter(capacity: 5)
        writer.append("hello")
        #expect(writer.string() == "hello")
        #expect(writer.remaining == 0)
        #expect(writer.hasOverflowed == false)
    }

    @Test func anAppendThatDoesNotFitChangesNothingAndIsNoted() {
        var writer = ByteWriter(capacity: 4)
        writer.append("ab")
        writer.append("cde")
        #expect(writer.string() == "ab")
        #expect(writer.hasOverflowed == true)
        writer.append("c")
        #expect(writer.string() == "ab")  // refused too: what is here has a gap
    }

    @Test func theOwnerGrowsAndWritesAgain() {
        var writer = ByteWriter(capacity: 4)
        writer.append("ab")
        let before = writer.count
        writer.append("cdef")
        #expect(writer.hasOverflowed == true)
        writer.truncate(to: before)
        writer.grow(to: 16)
        writer.append("cdef")
        #expect(writer.string() == "abcdef")
        #expect(writer.hasOverflowed == false)
    }

    @Test func itWritesIntoMemoryOfSomebodyElse() {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        defer { unsafe memory.deallocate() }
        do {
            var writer = unsafe ByteWriter(borrowing: memory)
            writer.append("frame")
            #expect(writer.capacity == 8)
        }
        #expect(unsafe String(decoding: memory[..<5], as: UTF8.self) == "frame")
    }

    @Test func itServesAsAQueue() {
        var writer = ByteWriter(capacity: 8)
        writer.append("abcdef")
        writer.removeFirst(4)
        writer.append("gh")
        #expect(writer.string() == "efgh")
        writer.removeFirst(4)
        #expect(writer.isEmpty == true)
    }

    @Test(arguments: [
        (0, "0"), (7, "7"), (10, "10"), (99, "99"), (100, "100"), (-1, "-1"),
        (Int.max, "9223372036854775807"), (Int.min, "-9223372036854775808"),
    ])
    func numbersAreDecimal(value: Int, text: String) {
        var writer = ByteWriter(capacity: 32)
        writer.append(decimal: value)
        #expect(writer.string() == text)
    }

    @Test func theLargestNumberHasTwentyDigits() {
        var writer = ByteWriter(capacity: 20)
        writer.append(decimal: UInt64.max)
        #expect(writer.string() == "18446744073709551615")
    }

    @Test(arguments: [
        (0, "0"), (9, "9"), (15, "f"), (16, "10"), (255, "ff"), (0x1234_5678, "12345678"),
    ])
    func chunkSizesAreHexadecimal(value: Int, text: String) {
        var writer = ByteWriter(capacity: 32)
        writer.append(hex: value)
        #expect(writer.string() == text)
    }
}

@Suite("Bytes: ranges and spans")
struct RawSpanTests {
    private func offset(of byte: UInt8, in bytes: [UInt8], from start: Int) -> Int? {
        unsafe bytes.span.bytes.firstOffset(of: byte, from: start, to: bytes.count)
    }

    @Test func theFirstMatchIsFoundAtEveryPlace() {
        for count in 0..<40 {
            for place in 0..<count {
                // Neighbours of the byte in value would betray a carry in the word test.
                var bytes = [UInt8](repeating: 11, count: count)
                bytes[place] = 10
                if place + 1 < count { bytes[place + 1] = 10 }
                #expect(offset(of: 10, in: bytes, from: 0) == place)
                #expect(offset(of: 10, in: bytes, from: place) == place)
            }
            #expect(offset(of: 10, in: [UInt8](repeating: 11, count: count), from: 0) == nil)
            #expect(offset(of: 10, in: [UInt8](repeating: 138, count: count), from: 0) == nil)
        }
    }

    @Test(arguments: [
        ("0", 0), ("42", 42), ("007", 7), ("9223372036854775807", Int.max),
        ("9223372036854775808", nil), ("", nil), ("-1", nil), ("+1", nil), ("1 ", nil), ("1a", nil),
    ])
    func decimalsAreDigitsOnly(text: String, value: Int?) {
        let bytes = [UInt8](text.utf8)
        let range = ByteRange(offset: 0, count: bytes.count)
        #expect(unsafe bytes.span.bytes.decimal(range) == value)
    }

    @Test func namesMatchInEitherCaseButOnlyLettersDo() {
        let bytes = [UInt8]("Content-Length@[".utf8)
        let span = unsafe bytes.span.bytes
        #expect(true == span.equalsIgnoringCase(ByteRange(offset: 0, count: 14), "CONTENT-lENGTH"))
        #expect(false == span.equals(ByteRange(offset: 0, count: 14), "content-length"))
        #expect(false == span.equalsIgnoringCase(ByteRange(offset: 14, count: 2), "`{"))
    }

    @Test func aRangeIsEightBytes() {
        #expect(MemoryLayout<ByteRange>.size == 8)
        #expect(ByteRange(from: 3, to: 8) == ByteRange(offset: 3, count: 5))
        #expect(ByteRange(offset: 3, count: 5).moved(by: -2).range == 1..<6)
    }
}
