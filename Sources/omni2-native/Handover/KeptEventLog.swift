import OmniCore
import OmniIO

/// The event log in systemd's descriptor store: from the first moment on, so that it outlives also a
/// daemon that is killed, and clients resume by number whatever happened.
struct KeptEventLog {
    static let name = "event-log"

    let manager: ServiceManager
    let activated: ActivatedSockets
    let log: Log

    /// Continues what was passed, or begins anew with the number `first`. Times of day serve as first
    /// numbers: a client that comes back with a number of an earlier log is never taken for one of this.
    func open(bytesMax: Int, entriesMax: Int, first: UInt64) throws(SystemError) -> EventLog {
        let passed = activated[Self.name]
        if let old = adopted(passed) {
            if let same = try continued(old, bytesMax, entriesMax) { return same }
            let events = try begin(
                bytesMax, entriesMax, first: old.notes.first?.sequence ?? old.segment[.oldest])
            for note in old.notes { copy(note, from: old.segment, to: events) }
            store(events, replacing: true)
            return events
        }
        let events = try begin(bytesMax, entriesMax, first: first)
        store(events, replacing: !passed.isEmpty)
        return events
    }

    private typealias Old = (segment: EventLogSegment, notes: [EventChronicle.Note])

    private func adopted(_ passed: [ActivatedSockets.Passed]) -> Old? {
        guard let only = passed.first else { return nil }
        guard passed.count == 1 else {
            for one in passed { _ = Descriptor(one.descriptor) }
            note("\(passed.count) event logs were passed")
            return nil
        }
        do throws(EventLogSegment.Failure) {
            let segment = try EventLogSegment(adopting: only.descriptor)
            guard let notes = EventChronicle(segment).recovered() else {
                note("the event log is damaged")
                return nil
            }
            return (segment, notes)
        } catch {
            note("the event log cannot be used: \(error)")
            return nil
        }
    }

    /// Nil when the sizes have been configured anew.
    private func continued(
        _ old: Old, _ bytesMax: Int, _ entriesMax: Int
    ) throws(SystemError) -> EventLog? {
        let surplus = old.segment.frames.byteCount - bytesMax
        guard (0..<4096).contains(surplus),
            old.segment.notes.byteCount >= entriesMax * EventChronicle.bytesEach
        else { return nil }
        // An empty one goes on where it was, whatever the clock says.
        let events = try EventLog(
            old.segment, recovered: old.notes.suffix(entriesMax), first: old.segment[.oldest],
            entriesMax: entriesMax)
        log.info(
            "event log continued",
            fields: ["events": old.notes.count, "last": Int(events.next - 1)])
        return events
    }

    private func begin(
        _ bytesMax: Int, _ entriesMax: Int, first: UInt64
    ) throws(SystemError) -> EventLog {
        let epoch = Digest.random(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return try EventLog(
            EventLogSegment(
                frameBytes: bytesMax, noteBytes: entriesMax * EventChronicle.bytesEach,
                epoch: epoch),
            first: first, entriesMax: entriesMax)
    }

    /// Into a log of another size. What is too large for it leaves a gap, so it begins behind that.
    private func copy(
        _ note: EventChronicle.Note, from old: EventLogSegment, to events: EventLog
    ) {
        let count = Int(note.byteCount - note.headerByteCount)
        let payload = unsafe old.frames.window(
            at: note.position + UInt64(note.headerByteCount), count: count)
        guard count <= events.payloadBytesMax else { return events.restart(at: note.sequence + 1) }
        _ = events.append(unsafe UnsafeRawBufferPointer(payload).bytes, facts: note.facts)
    }

    private func store(_ events: EventLog, replacing: Bool) {
        guard manager.isPresent else { return }
        do throws(SystemError) {
            if replacing { try manager.removeStored(name: Self.name) }
            // Not polled: a memfd never hangs up.
            try manager.store([events.descriptor], name: Self.name, isPolled: false)
        } catch {
            log.warning(
                "systemd could not be given the event log, it will not outlive the process",
                fields: ["error": error])
        }
    }

    private func note(_ reason: String) {
        log.warning(
            "event log cannot be continued, beginning anew", id: .handOverDiscarded,
            fields: ["reason": reason])
    }
}
