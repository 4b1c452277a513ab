import Testing

@testable import OmniIO

@Suite("LineReader")
struct LineReaderTests {
    private func read(_ bytes: [UInt8], cutAt cuts: [Int], max: Int) -> [LineReader.Item] {
        var reader = LineReader(lineBytesMax: max)
        var items: [LineReader.Item] = []
        var start = 0
        for end in cuts + [bytes.count] {
            unsafe Array(bytes[start..<end]).withUnsafeBytes { part in
                unsafe reader.received(part) { items.append($0) }
            }
            start = end
        }
        reader.ended { items.append($0) }
        return items
    }

    @Test func linesAreTheSameHoweverTheStreamIsCut() {
        let text = Array("first\r\n\n\nsecond is too long\nthird\nlast".utf8)
        let whole = read(text, cutAt: [], max: 10)
        let lines = whole.compactMap { item in
            if case .line(let line) = item { String(decoding: line, as: UTF8.self) } else { nil }
        }
        #expect(lines == ["first", "third", "last"])
        #expect(whole[1] == .tooLong(prefix: Array("second is too long".utf8)))
        var generator = SystemRandomNumberGenerator()
        let seed = generator.next()
        var state = seed
        for _ in 0..<500 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let cuts = (1..<text.count).filter { state >> UInt64($0 % 61) & 3 == 0 }
            let items = read(text, cutAt: cuts, max: 10)
            let same = items.enumerated().allSatisfy { index, item in
                switch (item, whole[index]) {
                case (.tooLong(let prefix), .tooLong(let expected)): expected.starts(with: prefix)
                default: item == whole[index]
                }
            }
            #expect(same && items.count == whole.count, "seed \(seed), cuts \(cuts)")
        }
    }

    @Test func aLineOfExactlyTheLimitPasses() {
        #expect(
            read(Array("1234567890\n".utf8), cutAt: [], max: 10) == [
                .line(Array("1234567890".utf8))
            ])
        #expect(read(Array("12345678901\n".utf8), cutAt: [3], max: 10).count == 1)
    }
}
