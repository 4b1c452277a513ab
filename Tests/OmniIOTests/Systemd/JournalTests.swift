import Glibc
import Testing

@testable import OmniIO

@Suite("Journal")
struct JournalTests {
    private let start = WallTime(nanosecondsSince1970: 1_769_628_164_000_000_000)

    @Test func recordArrivesAsOneDatagramOfTheNativeProtocol() throws {
        let journald = DatagramReceiver()
        let journal = try Journal.connected(to: journald.path)
        let log = Log(journal, service: .cache).with(["mcp": "time"])
        log.info(
            "Tool Cache started", id: .cacheRebuilt,
            fields: ["max_size": 1000, "ttl": Duration.seconds(300), "request_id": "r-1"])
        #expect(journald.receive() == nil, "nothing leaves before the end of the turn")
        journal.flush()
        let entry = JournalEntry(try #require(journald.receive()).bytes)
        #expect(entry.isWellFormed)
        #expect(entry["MESSAGE"] == "Tool Cache started")
        #expect(entry["PRIORITY"] == "6")
        #expect(entry["SERVICE"] == "Cache")
        #expect(entry["SYSLOG_IDENTIFIER"] == "omni2-native")
        #expect(entry["MESSAGE_ID"] == MessageID.cacheRebuilt.rawValue)
        #expect(entry["MCP"] == "time")
        #expect(entry["MAX_SIZE"] == "1000")
        #expect(entry["TTL"] == "300")
        #expect(entry["REQUEST_ID"] == "r-1")
        #expect(entry["CODE_FILE"] == "OmniIOTests/JournalTests.swift")
        #expect(!journal.hasPending)
    }

    @Test func multiLineValueIsSentWithItsLength() throws {
        let journald = DatagramReceiver()
        let journal = try Journal.connected(to: journald.path)
        let text = "first\nsecond=2\n\nlast"
        Log(journal, service: .gateway).error(text, fields: ["body": text, "empty": ""])
        journal.flush()
        let entry = JournalEntry(try #require(journald.receive()).bytes)
        #expect(entry.isWellFormed)
        #expect(entry["MESSAGE"] == text)
        #expect(entry["BODY"] == text)
        #expect(entry["EMPTY"] == "")
    }

    @Test(arguments: [100_000, 4 << 20])
    func largeRecordTravelsAsSealedMemfd(count: Int) throws {
        let journald = DatagramReceiver()
        let journal = try Journal.connected(to: journald.path)
        let log = Log(journal, service: .gateway)
        let body = String(repeating: "x", count: count) + "\nend"
        log.info("before")
        log.warning("large", fields: ["body": body])
        journal.flush()
        log.info("after")
        journal.flush()
        let messages = journald.receiveAll()
        try #require(messages.count == 3)
        #expect(JournalEntry(messages[0].bytes)["MESSAGE"] == "before")
        #expect(JournalEntry(messages[2].bytes)["MESSAGE"] == "after")
        if let file = messages[1].descriptors.first {
            defer { close(file) }
            #expect(messages[1].bytes.isEmpty)
            let entry = JournalEntry(content(of: file))
            #expect(entry.isWellFormed)
            let isWhole = entry["BODY"] == body
            #expect(isWhole)
            let seals = fcntl(file, 1034)  // F_GET_SEALS
            #expect(seals == 0x1 | 0x2 | 0x4 | 0x8, "seal, shrink, grow, write")
        } else {
            #expect(count < 1 << 20, "4 MiB fit no datagram")
            let isWhole = JournalEntry(messages[1].bytes)["BODY"] == body
            #expect(isWhole)
        }
        #expect(journal.droppedCount == 0)
    }

    @Test func namesBecomeWhatJournaldAccepts() throws {
        let names = [
            ("mcp", "MCP"), ("Trace-Id", "TRACE_ID"), ("_hidden", "FIELD__HIDDEN"),
            ("2nd", "FIELD_2ND"), ("message", "FIELD_MESSAGE"), ("priority", "FIELD_PRIORITY"),
            ("", "FIELD_"), ("ü", "FIELD___"), (String(repeating: "a", count: 90), ""),
        ]
        for (name, expected) in names {
            let field = JournalRecord.fieldName(name)
            #expect(field.utf8.count <= 64)
            if !expected.isEmpty { #expect(field == expected) }
        }
    }

    @Test func secretsAreMaskedByType() throws {
        let journald = DatagramReceiver()
        let journal = try Journal.connected(to: journald.path)
        let token = Secret("omni2_mcp_tellnobody")
        Log(journal, service: .access).notice("token \(token) made", fields: ["token": token])
        journal.flush()
        let text = try #require(journald.receive()).text
        #expect(!text.contains("tellnobody"))
        #expect(text.contains("TOKEN=\(Secret.mask)"))
        var dumped = ""
        dump(token, to: &dumped)
        #expect(!dumped.contains("tellnobody"))
        #expect(!"\(token) \(String(reflecting: token)) \([token])".contains("tellnobody"))
    }

    @Test func disabledLevelsEvaluateNothing() {
        let journal = Journal.recording(level: .warning)
        let log = Log(journal, service: .main)
        var evaluated = 0
        func costly() -> String {
            evaluated += 1
            return "text"
        }
        log.info(costly(), fields: ["field": costly()])
        log.debug(costly())
        #expect(evaluated == 0)
        #expect(journal.records.isEmpty)
        log.warning(costly())
        journal.level = .debug
        log.debug(costly())
        #expect(journal.records.map(\.level) == [.warning, .debug])
    }

    @Test func fullJournaldMakesUsQueueThenDropAndSaySo() throws {
        let journald = DatagramReceiver()
        let limits = JournalLimits(
            recordsMax: 50, queueBytesMax: 1 << 20, rateRecordsMax: .max, rateWindow: .seconds(1))
        let journal = try Journal.connected(to: journald.path, limits: limits)
        let log = Log(journal, service: .webSocket)
        // The kernel queues a few datagrams per receiver; nobody reads them meanwhile.
        for number in 0..<1000 {
            log.info("record", fields: ["number": number])
            journal.flush()
        }
        #expect(journal.hasPending)
        #expect(journal.droppedCount > 0)
        var numbers: [Int] = []
        var notice: JournalEntry?
        for _ in 0..<1000 where notice == nil {
            for message in journald.receiveAll() {
                let entry = JournalEntry(message.bytes)
                #expect(entry.isWellFormed)
                if let number = entry["NUMBER"].flatMap({ Int($0) }) { numbers.append(number) }
                if entry["MESSAGE_ID"] == MessageID.journalRecordsDropped.rawValue {
                    notice = entry
                }
            }
            journal.flush()
        }
        #expect(numbers == Array(0..<numbers.count), "in order, none twice")
        #expect(UInt64(numbers.count) + journal.droppedCount == 1000)
        #expect(notice?["DROPPED"] == String(journal.droppedCount))
        #expect(!journal.hasPending)
    }

    @Test func queueIsBoundedInBytesToo() throws {
        let journald = DatagramReceiver()
        let limits = JournalLimits(
            recordsMax: 10_000, queueBytesMax: 4096, rateRecordsMax: .max, rateWindow: .seconds(1))
        let journal = try Journal.connected(to: journald.path, limits: limits)
        let log = Log(journal, service: .webSocket)
        for _ in 0..<100 { log.info(String(repeating: "x", count: 500)) }
        #expect(journal.droppedCount > 90)
        journal.flush()
        #expect(!journal.hasPending)
    }

    @Test func talkativeServiceIsCutOffForItsWindowAndTheOthersAreNot() throws {
        let journald = DatagramReceiver()
        let clock = TestClock(start)
        let limits = JournalLimits(
            recordsMax: 1000, queueBytesMax: 1 << 20, rateRecordsMax: 3, rateWindow: .seconds(10))
        let journal = try Journal.connected(
            to: journald.path, limits: limits, clock: { clock.now })
        let loud = Log(journal, service: .webSocket)
        for number in 0..<5 { loud.info("loud \(number)") }
        loud.critical("critical always passes")
        Log(journal, service: .cache).info("quiet")
        journal.flush()
        let first = journald.receiveAll().compactMap { JournalEntry($0.bytes)["MESSAGE"] }
        #expect(first == ["loud 0", "loud 1", "loud 2", "critical always passes", "quiet"])
        #expect(journal.suppressedCount == 2)
        clock.now.nanosecondsSince1970 += 10_000_000_000
        journal.flush()
        let notice = JournalEntry(try #require(journald.receive()).bytes)
        #expect(notice["MESSAGE_ID"] == MessageID.journalRecordsSuppressed.rawValue)
        #expect(notice["SUPPRESSED"] == "2")
        #expect(notice["SERVICE"] == "WebSocket")
        loud.info("again")
        journal.flush()
        #expect(journald.receive().map { JournalEntry($0.bytes)["MESSAGE"] } == "again")
    }

    @Test func terminalGetsOneReadableLine() throws {
        let record = JournalRecord(
            level: .info, service: .cache, message: "Tool Cache started",
            fields: ["max_size": 1000, "ttl": Duration.seconds(300)])
        #expect(
            record.line(at: "2026-01-28 19:22:44")
                == "2026-01-28 19:22:44 [info] Tool Cache started service=Cache max_size=1000 ttl=300"
        )
        let odd = JournalRecord(
            level: .error, service: .gateway, message: "two\nlines \u{1B}[31m",
            fields: ["text": "say \"hi\"", "empty": "", "plain": "a=b"])
        #expect(
            odd.line(at: "T")
                == #"T [error] two\nlines \x1b[31m service=Gateway text="say \"hi\"" empty="" plain=a=b"#
        )
    }

    @Test func linesGoToAPipeWithoutWaitingForItsReader() throws {
        var ends: [Int32] = [0, 0]
        unsafe pipe(&ends)
        defer { close(ends[0]) }
        let clock = TestClock(start)
        let limits = JournalLimits(
            recordsMax: 100, queueBytesMax: 1 << 20, rateRecordsMax: .max, rateWindow: .seconds(1))
        let journal = Journal.lines(on: ends[1], limits: limits, clock: { clock.now })
        close(ends[1])
        let log = Log(journal, service: .main)
        for number in 0..<2000 {
            log.info("line \(number) \(String(repeating: "x", count: 200))")
            journal.flush()
        }
        #expect(journal.hasPending, "a pipe holds 64 KiB")
        #expect(journal.droppedCount > 0)
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        for _ in 0..<1000 {
            let count = unsafe read(ends[0], &chunk, chunk.count)
            if count > 0 { text += chunk[..<count] } else if !journal.hasPending { break }
            journal.flush()
        }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        #expect(lines.last?.contains("journal records were dropped") == true)
        for (number, line) in lines.dropLast().enumerated() {
            #expect(line.contains(" [info] line \(number) x"), "whole lines, in order")
        }
    }

    @Test func vanishedReaderOfLinesIsNoReasonToStop() throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [0, 0]
        unsafe pipe(&ends)
        let journal = Journal.lines(on: ends[1])
        close(ends[0])
        close(ends[1])
        Log(journal, service: .main).info("to nobody")
        journal.flush()
        #expect(!journal.hasPending)
        #expect(journal.droppedCount == 1)
    }

    @Test func journaldThatComesBackIsFoundAgain() throws {
        let directory = makeTemporaryDirectory()
        let note = unsafe open("\(directory)/keep", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        defer {
            close(note)
            unsafe unlink("\(directory)/keep")
            unsafe rmdir(directory)
        }
        var journald: DatagramReceiver? = DatagramReceiver(in: directory)
        let journal = try Journal.connected(to: try #require(journald).path)
        let log = Log(journal, service: .main)
        journald = nil
        log.info("while it is away")
        journal.flush()
        #expect(journal.hasPending)
        journald = DatagramReceiver(in: directory)
        log.info("when it is back")
        journal.flush()
        #expect(!journal.hasPending)
        let messages = try #require(journald).receiveAll().map { JournalEntry($0.bytes)["MESSAGE"] }
        #expect(messages == ["while it is away", "when it is back"])
    }

    @Test func durationsAndOptionalsReadWell() {
        #expect(Duration.seconds(300).logText == "300")
        #expect(Duration.milliseconds(1500).logText == "1.5")
        #expect(Duration.milliseconds(4).logText == "0.004")
        #expect(Duration.milliseconds(-1500).logText == "-1.5")
        #expect((nil as String?).logText == "none")
        #expect([1, 2].logText == "1,2")
        #expect(true.logText == "yes")
    }

    @Test func wallTimeIsWrittenInUTC() {
        #expect(WallTime(nanosecondsSince1970: 0).utcText == "1970-01-01T00:00:00.000Z")
        #expect(start.utcText == "2026-01-28T19:22:44.000Z")
        #expect(WallTime(nanosecondsSince1970: -1).utcText == "1969-12-31T23:59:59.999Z")
    }
}

/// A clock that stands until the test moves it.
private final class TestClock {
    var now: WallTime
    init(_ now: WallTime) { self.now = now }
}
