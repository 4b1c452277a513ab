import OmniCore
import OmniIO

/// Makes spans and keeps those that ended until the exporter takes them, bounded.
///
/// Sampling is parent based: whoever sent a `traceparent` has decided for us; a trace that begins
/// here is recorded by the ratio of its number, so that every service decides alike.
final class Tracer {
    struct Settings {
        /// False: nothing is recorded, and contexts pass through as they came.
        var isOn = false
        /// 0…1, of the traces that begin here.
        var ratio = 1.0
        /// Follow the caller's decision.
        var isParentBased = true
        var spansMax = 8192
    }

    let settings: Settings
    private let clock: WallClock
    private var random: SplitMix64
    /// Of those that ended: full batches, the oldest first, and the one that is being filled.
    private var full: [SpanBatch] = []
    private var filling = SpanBatch()
    private(set) var droppedCount: UInt64 = 0
    /// So many are waiting that a batch is worth sending.
    var batchIsReady: () -> Void = {}
    private static let batchSpans = 512

    init(_ settings: Settings, clock: WallClock, seed: UInt64) {
        self.settings = settings
        self.clock = clock
        random = SplitMix64(seed: seed)
    }

    static func off(_ clock: WallClock) -> Tracer { Tracer(Settings(), clock: clock, seed: 0) }

    var now: UInt64 { UInt64(clamping: WallTime.now().nanosecondsSince1970) }

    /// Where a request that came with `parent` stands: nil when there is no trace at all.
    func enter(_ parent: TraceContext?) -> TraceContext? {
        guard settings.isOn else { return parent }
        guard let parent else {
            let traceID = TraceContext.TraceID(high: random.next(), low: nonzero())
            // A trace that is not chosen does not begin: nothing is written into requests for it.
            guard isChosen(traceID) else { return nil }
            return TraceContext(traceID: traceID, spanID: 0, flags: 1)
        }
        if settings.isParentBased { return parent }
        return TraceContext(
            traceID: parent.traceID, spanID: parent.spanID,
            flags: isChosen(parent.traceID) ? 1 : 0, state: parent.state)
    }

    /// Nil when the trace is not recorded. `parent.spanID` 0: the span is its trace's root.
    func begin(
        _ name: @autoclosure () -> String, _ kind: SpanRecord.Kind, in parent: TraceContext?
    ) -> Span? {
        guard settings.isOn, let parent, parent.isSampled else { return nil }
        return Span(
            SpanRecord(
                parent.child(spanID: nonzero()), parentID: parent.spanID, name: name(),
                kind: kind, start: now), self)
    }

    fileprivate func end(_ record: borrowing SpanRecord) {
        guard full.count * Self.batchSpans + filling.count < settings.spansMax else {
            droppedCount += 1
            return
        }
        filling.append(record)
        if filling.count < Self.batchSpans { return }
        full.append(filling)
        // Where one was full, the next one will be.
        filling = SpanBatch(reserving: filling.byteCount)
        batchIsReady()
    }

    /// The oldest, which then are the caller's; nil when none waits.
    func take() -> SpanBatch? {
        if !full.isEmpty { return full.removeFirst() }
        if filling.count == 0 { return nil }
        defer { filling = SpanBatch() }
        return filling
    }

    /// A collector did not want them.
    func drop(_ count: Int) { droppedCount += UInt64(count) }

    private func nonzero() -> UInt64 {
        while true {
            let number = random.next()
            if number != 0 { return number }
        }
    }

    /// The lowest 56 bits decide, as OpenTelemetry's `TraceIdRatioBased` has it.
    private func isChosen(_ traceID: TraceContext.TraceID) -> Bool {
        if settings.ratio >= 1 { return true }
        let value = Double(traceID.low & 0x00FF_FFFF_FFFF_FFFF)
        return value < settings.ratio * 0x1p56
    }
}

/// One step under way. Ends once; what is said of it afterwards is lost.
final class Span {
    private var record: SpanRecord
    private let tracer: Tracer
    private var hasEnded = false

    fileprivate init(_ record: SpanRecord, _ tracer: Tracer) {
        self.record = record
        self.tracer = tracer
    }

    /// What its children have as parent.
    var context: TraceContext { record.context }

    func set(_ name: StaticString, _ value: String) { record.set(name, value) }
    func set(_ name: StaticString, _ value: Int) { record.set(name, value) }
    func set(_ name: StaticString, _ value: Bool) { record.set(name, value) }

    func set(_ name: StaticString, ifPresent value: String?) {
        if let value { set(name, value) }
    }

    func rename(_ name: String) { record.name = name }

    /// `error.type` is a word of a small set; `message` is for people.
    func fail(_ type: String, _ message: String = "") {
        set("error.type", type)
        record.status = .failed(message)
    }

    func end() {
        if hasEnded { return }
        hasEnded = true
        record.end = tracer.now
        tracer.end(record)
    }
}
