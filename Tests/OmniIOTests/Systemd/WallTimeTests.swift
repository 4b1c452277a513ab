import Testing

@testable import OmniIO

@Suite("WallTime")
struct WallTimeTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000000Z"),
        (1_769_685_878_123_456_789, "2026-01-29T11:24:38.123Z", "2026-01-29T11:24:38.123456Z"),
        (-1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999999Z"),
        (Int64.max, "2262-04-11T23:47:16.854Z", "2262-04-11T23:47:16.854775Z"),
    ])
    func isWrittenWithThousandthsAndMillionths(_ moment: Int64, _ utc: String, _ event: String) {
        let time = WallTime(nanosecondsSince1970: moment)
        #expect(time.utcText == utc)
        #expect(time.eventText == event)
    }

    @Test func isWrittenForATerminalWithoutAFraction() {
        let text = WallTime(nanosecondsSince1970: 5).localText
        #expect(text.utf8.count == "1970-01-01 00:00:00".utf8.count)
    }
}
