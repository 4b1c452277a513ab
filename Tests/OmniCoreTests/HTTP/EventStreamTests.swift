import OmniCore
import Testing

@Suite("HTTP: event streams")
struct EventStreamTests {
    typealias Entry = EventStreamTranscript.Entry

    private func read(_ text: String, eventBytesMax: Int = 1 << 20) -> [Entry] {
        read([UInt8](text.utf8), eventBytesMax: eventBytesMax)
    }

    private func read(_ bytes: [UInt8], eventBytesMax: Int = 1 << 20) -> [Entry] {
        let whole = EventStreamTranscript.read(bytes, cut: .whole, eventBytesMax: eventBytesMax)
        for cut in Cut.all where cut != .byteByByte || bytes.count < 200_000 {
            let other = EventStreamTranscript.read(bytes, cut: cut, eventBytesMax: eventBytesMax)
            #expect(other == whole, "\(cut)")
        }
        return whole
    }

    private func event(_ data: String, name: String = "message", id: String = "") -> Entry {
        .event(name: name, data: [UInt8](data.utf8), id: id)
    }

    @Test(arguments: ["\n", "\r", "\r\n"])
    func everyLineEndEndsALine(end: String) {
        let text = ["event: status", "id: 7", "data: {\"a\":1}", "", "data: x", "", ""]
            .joined(separator: end)
        #expect(
            read(text) == [event("{\"a\":1}", name: "status", id: "7"), event("x", id: "7")])
    }

    @Test func theExamplesOfTheStandardAreRead() {
        #expect(read("data: YHOO\ndata: +2\ndata: 10\n\n") == [event("YHOO\n+2\n10")])
        #expect(
            read(
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
            )
                == [event("first event", id: "1"), event("second event"), event(" third event")])
        #expect(
            read("data\n\ndata\ndata\n\ndata:") == [event(""), event("\n")])
        #expect(read("data:test\n\ndata: test\n\n") == [event("test"), event("test")])
    }

    @Test func anEventWithoutDataIsNoneButItsIDCounts() {
        #expect(read("id: 3\nevent: x\n\ndata: y\n\n") == [event("y", id: "3")])
        #expect(read("\n\n\n:c\n\n").isEmpty)
    }

    @Test func anIDWithNULIsIgnored() {
        #expect(
            read("id: a\ndata: 1\n\nid: b\u{0}c\ndata: 2\n\n") == [
                event("1", id: "a"), event("2", id: "a"),
            ])
    }

    @Test func aByteOrderMarkIsSkippedAtTheStartOnly() {
        #expect(read("\u{FEFF}data: x\n\n\u{FEFF}data: y\n\n") == [event("x")])
        #expect(read([0xEF, 0xBB] + [UInt8]("data: x\n\n".utf8)).isEmpty)
    }

    @Test func retryIsANumberOfMilliseconds() {
        #expect(
            read("data: 1\nretry: 1500\ndata: 2\n\nretry: soon\nretry:-1\nretry\n\n")
                == [.retry(1500), event("1\n2")])
    }

    @Test func anUnfinishedEventIsNotTold() {
        #expect(read("data: x\n").isEmpty)
        #expect(read("data: x\n\r") == [event("x")])
    }

    @Test func unknownFieldsAreIgnored() {
        #expect(read("foo: bar\nDATA: no\n data: no\ndata: yes\n\n") == [event("yes")])
    }

    @Test func anEventMayBeAsLargeAsTheLimit() {
        let fits = "data:" + String(repeating: "x", count: 95)
        #expect(read(fits + "\n\n" + fits + "\n\n", eventBytesMax: 100).count == 2)
        #expect(read(fits + "y\n\n", eventBytesMax: 100) == [.tooLarge])
        #expect(read(fits + "y", eventBytesMax: 100) == [.tooLarge])
        #expect(read("data:1\n\n" + fits + "\nid:1\n\n", eventBytesMax: 100).last == .tooLarge)
        // Comments do not add up: a quiet stream may live on them.
        let quiet = String(repeating: ": still here\n", count: 100)
        #expect(read(quiet + "data: x\n\n", eventBytesMax: 100) == [event("x")])
    }

    @Test func aLargeEventArrivesWhole() {
        let data = String(repeating: "0123456789abcdef", count: 1 << 15)
        #expect(read("data: \(data)\n\n") == [event(data)])
    }

    // MARK: Writing

    private func write(_ body: (inout ByteWriter) -> Void) -> String {
        var writer = ByteWriter(capacity: 1024)
        body(&writer)
        return writer.string()
    }

    @Test func eventsAreWritten() {
        let data = [UInt8]("{}".utf8)
        let id = [UInt8]("e:42".utf8)
        #expect(
            write {
                unsafe EventStreamWriter.event(
                    data.span.bytes, event: "status", id: id.span.bytes, into: &$0)
            } == "event: status\nid: e:42\ndata: {}\n\n")
        #expect(
            write { unsafe EventStreamWriter.event(data.span.bytes, into: &$0) } == "data: {}\n\n")
        #expect(write { unsafe EventStreamWriter.id(id.span.bytes, into: &$0) } == "id: e:42\n\n")
        #expect(
            write { EventStreamWriter.retry(milliseconds: 3000, into: &$0) } == "retry: 3000\n\n")
        #expect(write { EventStreamWriter.comment("ping", into: &$0) } == ": ping\n\n")
    }

    @Test(arguments: ["", "\n", "a\nb", "a\r\nb\rc\n", "\n\n", " leading", ": colon", "\r\n\r\n"])
    func whatIsWrittenIsReadAgain(text: String) {
        let bytes = [UInt8](text.utf8)
        let stream = write { unsafe EventStreamWriter.event(bytes.span.bytes, into: &$0) }
        let normalized = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
        #expect(read(stream) == [event(normalized)])
    }

    @Test func anIDWithALineEndTraps() async {
        await #expect(processExitsWith: .failure) {
            var writer = ByteWriter(capacity: 64)
            let id: [UInt8] = [0x31, 0x0A]
            unsafe EventStreamWriter.id(id.span.bytes, into: &writer)
        }
    }
}
