internal import CShims.Systemd
internal import OmniCore

/// The daemon's one way to say something to its operator.
///
/// Services append records through `Log`; nothing is sent until the end of a turn, when `flush`
/// hands all of them to journald with one system call. Nothing here ever waits: what journald or
/// the terminal does not take stays queued, bounded by `JournalLimits`; beyond that records are
/// dropped and counted, and the count is the first thing said when there is room again. A service
/// that talks too much is cut off for the rest of its window, and that is said too.
///
/// One thread owns it. Under systemd the records go to journald with all their fields, elsewhere
/// they are lines on standard error.
public final class Journal {
    /// Records less grave than this are not made. A reload changes it.
    public var level: LogLevel
    /// Records lost since start because nobody took them.
    public private(set) var droppedCount: UInt64 = 0
    /// Records withheld since start because their service exceeded its rate.
    public private(set) var suppressedCount: UInt64 = 0
    /// Hears every record that passes, for those who carry them elsewhere.
    public var copied: ((JournalRecord) -> Void)?
    /// What was appended, where the journal was made by `recording()`.
    public private(set) var records: [JournalRecord] = []

    private var sink: JournalSink
    private let limits: JournalLimits
    private let clock: () -> WallTime
    private var windows: [Window]

    /// Encoded records, end to end; `ends[i]` is where record i ends.
    private var gathered: [UInt8] = []
    private var ends: [Int64] = []
    /// How far the gathered records have been taken: records, and bytes of the one in progress.
    private var sentRecords = 0
    private var sentBytes = 0
    private var unreportedDrops: UInt64 = 0

    private struct Window {
        var startedAt = WallTime(nanosecondsSince1970: .min / 2)
        var count = 0
        var suppressed: UInt64 = 0
    }

    /// journald where standard error leads to it, lines on standard error otherwise.
    public static func standard(
        level: LogLevel, environment: Environment, limits: JournalLimits = .standard
    ) -> Journal {
        Journal(sink: .standard(environment), level: level, limits: limits)
    }

    /// A journal socket at another place than the host's own.
    public static func connected(
        to path: String, level: LogLevel = .debug, limits: JournalLimits = .standard,
        clock: @escaping () -> WallTime = WallTime.now
    ) throws(SystemError) -> Journal {
        Journal(sink: try .journald(path: path), level: level, limits: limits, clock: clock)
    }

    /// Lines on this descriptor, which stays the caller's.
    public static func lines(
        on descriptor: Int32, level: LogLevel = .debug, limits: JournalLimits = .standard,
        clock: @escaping () -> WallTime = WallTime.now
    ) -> Journal {
        Journal(sink: .stream(descriptor), level: level, limits: limits, clock: clock)
    }

    /// Keeps the records for a test to look at.
    public static func recording(level: LogLevel = .debug) -> Journal {
        Journal(sink: .recording, level: level, limits: .standard)
    }

    /// Says nothing to nobody.
    public static func silent() -> Journal {
        Journal(sink: .nowhere, level: .critical, limits: .standard)
    }

    init(
        sink: JournalSink, level: LogLevel, limits: JournalLimits,
        clock: @escaping () -> WallTime = WallTime.now
    ) {
        self.sink = sink
        self.level = level
        self.limits = limits
        self.clock = clock
        windows = Array(repeating: Window(), count: Service.allCases.count)
    }

    deinit {
        switch sink {
        case .journald(let descriptor, _), .stream(let descriptor, false): close(descriptor)
        case .stream, .recording, .nowhere: break
        }
    }

    /// Something waits for room; flush again when a little time has passed.
    public var hasPending: Bool { sentRecords < ends.count }

    /// Queues one record. `Log` is the way to call this.
    public func append(_ record: JournalRecord) {
        switch sink {
        case .nowhere: return
        case .recording: records.append(record)
        case .journald, .stream:
            let now = clock()
            if mayPass(record, at: now) {
                gather(record, at: now)
                copied?(record)
            }
        }
    }

    /// Hands over what the turn gathered. Never blocks.
    public func flush() {
        if suppressedCount > 0 { reportSuppressed(at: clock()) }
        send()
        guard unreportedDrops > 0, !hasPending else { return }
        let count = unreportedDrops
        unreportedDrops = 0
        gather(
            JournalRecord(
                level: .warning, service: .main,
                message: "\(count) journal records were dropped: nobody took them in time",
                id: .journalRecordsDropped, fields: ["dropped": count]), at: clock())
        send()
    }

    private func send() {
        guard hasPending else { return }
        switch sink {
        case .journald(let descriptor, _): sendDatagrams(to: descriptor)
        case .stream(let descriptor, let isSocket): sendLines(to: descriptor, isSocket)
        case .recording, .nowhere: break
        }
    }

    // MARK: Gathering

    private func gather(_ record: JournalRecord, at now: WallTime) {
        let waiting = gathered.count - (sentRecords == 0 ? 0 : Int(ends[sentRecords - 1]))
        if ends.count - sentRecords >= limits.recordsMax || waiting >= limits.queueBytesMax {
            return drop()
        }
        switch sink {
        case .stream:
            gathered.append(contentsOf: record.line(at: now.localText).utf8)
            gathered.append(UInt8(ascii: "\n"))
        case .journald, .recording, .nowhere:
            record.encode(into: &gathered)
        }
        ends.append(Int64(gathered.count))
    }

    private func drop() {
        droppedCount += 1
        unreportedDrops += 1
    }

    /// Forgets what was sent; keeps the memory for the next turn.
    private func forgetSent() {
        let isEmpty = sentRecords == ends.count
        if isEmpty {
            let isLarge = gathered.capacity > limits.queueBytesMax
            gathered.removeAll(keepingCapacity: !isLarge)
            ends.removeAll(keepingCapacity: true)
            (sentRecords, sentBytes) = (0, 0)
        } else if sentRecords >= 256 {
            let cut = Int(ends[sentRecords - 1])
            gathered.removeSubrange(..<cut)
            ends.removeSubrange(..<sentRecords)
            for index in ends.indices { ends[index] -= Int64(cut) }
            sentRecords = 0
            sentBytes = max(0, sentBytes - cut)
        }
    }

    // MARK: Sending

    private func sendDatagrams(to descriptor: Int32) {
        var descriptor = descriptor
        var hasReconnected = false
        while hasPending {
            let count = ends.count - sentRecords
            let first = sentRecords
            // Both buffers outlive the call, which only reads them.
            let result = unsafe gathered.withUnsafeBufferPointer { bytes in
                unsafe ends.withUnsafeBufferPointer { ends in
                    unsafe omni2_datagrams_send(
                        descriptor, bytes.baseAddress, ends.baseAddress, first, count)
                }
            }
            if result > 0 {
                sentRecords += Int(result)
                continue
            }
            switch -result {
            case EAGAIN, ENOBUFS: return forgetSent()
            case EMSGSIZE: if !sendAsFile(to: descriptor) { return forgetSent() }
            case ECONNREFUSED, ENOTCONN, ENOENT:
                // journald's socket was made anew: once per flush we follow it.
                guard !hasReconnected, let renewed = reconnect() else { return forgetSent() }
                (descriptor, hasReconnected) = (renewed, true)
            default:
                // Not a record's fault that time heals: drop it rather than stand still.
                drop()
                sentRecords += 1
            }
        }
        forgetSent()
    }

    /// Sends the next record as a sealed memfd, the protocol's way for what no datagram holds.
    /// Answers false when journald has no room now.
    private func sendAsFile(to socket: Int32) -> Bool {
        let start = sentRecords == 0 ? 0 : Int(ends[sentRecords - 1])
        let end = Int(ends[sentRecords])
        // The buffer outlives the call, which only reads it.
        let file = unsafe gathered.withUnsafeBufferPointer { bytes in
            unsafe omni2_sealed_memfd(bytes.baseAddress! + start, end - start)
        }
        guard file >= 0 else {
            drop()
            sentRecords += 1
            return true
        }
        defer { close(file) }
        var passed = file
        let result = unsafe omni2_datagram_send(socket, nil, 0, &passed, 1)
        if result == Int64(-EAGAIN) || result == Int64(-ENOBUFS) { return false }
        if result < 0 { drop() }
        sentRecords += 1
        return true
    }

    private func reconnect() -> Int32? {
        guard case .journald(let old, let path) = sink else { return nil }
        let renewed = unsafe omni2_datagram_connect(path, path.utf8.count)
        guard renewed >= 0 else { return nil }
        close(old)
        sink = .journald(descriptor: renewed, path: path)
        return renewed
    }

    private func sendLines(to descriptor: Int32, _ isSocket: Bool) {
        while sentBytes < gathered.count {
            let start = sentBytes
            // The buffer outlives the call, which only reads it.
            let result = unsafe gathered.withUnsafeBufferPointer { bytes in
                let rest = unsafe bytes.baseAddress! + start
                return isSocket
                    ? unsafe omni2_datagram_send(descriptor, rest, bytes.count - start, nil, 0)
                    : unsafe omni2_write(descriptor, rest, bytes.count - start)
            }
            if result == Int64(-EAGAIN) { break }
            if result <= 0 {
                // The reader of our lines is gone: nothing queued will ever be read.
                droppedCount += UInt64(ends.count - sentRecords)
                (sentRecords, sentBytes) = (ends.count, gathered.count)
                break
            }
            sentBytes += Int(result)
        }
        while sentRecords < ends.count, ends[sentRecords] <= Int64(sentBytes) { sentRecords += 1 }
        forgetSent()
    }

    // MARK: Rate

    /// Counts the record against its service's window. Critical records always pass.
    private func mayPass(_ record: JournalRecord, at now: WallTime) -> Bool {
        let index = record.service.ordinal
        if hasEnded(windows[index], at: now) {
            reportSuppressed(by: record.service, at: now)
            windows[index] = Window(startedAt: now)
        }
        if record.level == .critical { return true }
        windows[index].count += 1
        if windows[index].count <= limits.rateRecordsMax { return true }
        windows[index].suppressed += 1
        suppressedCount += 1
        return false
    }

    private func reportSuppressed(at now: WallTime) {
        for service in Service.allCases where hasEnded(windows[service.ordinal], at: now) {
            reportSuppressed(by: service, at: now)
        }
    }

    private func reportSuppressed(by service: Service, at now: WallTime) {
        let count = windows[service.ordinal].suppressed
        guard count > 0 else { return }
        windows[service.ordinal].suppressed = 0
        gather(
            JournalRecord(
                level: .warning, service: service,
                message: "\(count) records were suppressed: more than "
                    + "\(limits.rateRecordsMax) in \(limits.rateWindow.logText) s",
                id: .journalRecordsSuppressed, fields: ["suppressed": count]), at: now)
    }

    /// A clock that was set back ends the window too, or it might last for years.
    private func hasEnded(_ window: Window, at now: WallTime) -> Bool {
        let age = now.nanosecondsSince1970 - window.startedAt.nanosecondsSince1970
        return age < 0 || age >= limits.rateWindow.nanosecondsClamped
    }
}

/// The journal's bounds.
public struct JournalLimits: Sendable, Hashable {
    /// Records that wait for journald; more are dropped and counted.
    public var recordsMax: Int
    /// Bytes of those records: once so many wait, more are dropped and counted. The last one taken
    /// may reach beyond, by 8 MiB per value at most.
    public var queueBytesMax: Int
    /// Records of one service in one window; more are suppressed and counted.
    public var rateRecordsMax: Int
    public var rateWindow: Duration

    public init(recordsMax: Int, queueBytesMax: Int, rateRecordsMax: Int, rateWindow: Duration) {
        self.recordsMax = recordsMax
        self.queueBytesMax = queueBytesMax
        self.rateRecordsMax = rateRecordsMax
        self.rateWindow = rateWindow
    }

    public static let standard = JournalLimits(
        recordsMax: 4096, queueBytesMax: 1 << 20, rateRecordsMax: 2000, rateWindow: .seconds(10))
}
