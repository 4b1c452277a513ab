import OmniCore
import OmniIO

/// Records what each request did: live for those who are watched, and for later.
///
/// `begin` and the flow's own verbs are called on the request's path and only append. What costs
/// time happens afterwards: the stream to Redis a millisecond later, for all of them at once; history
/// in batches. Only watched users pay for text on the way: their checkpoints go to the hub as they
/// come.
final class FlowTracker {
    struct Settings {
        var isEnabled = true
        /// Checkpoints that took longer are announced; nil: none is.
        var slowTime: Duration?
        var flowsMax = 10_000
        var checkpointsMax = 256
    }

    struct Statistics {
        var begun: UInt64 = 0
        var finished: UInt64 = 0
        var cutOff: UInt64 = 0
        var checkpoints: UInt64 = 0
        var slow: UInt64 = 0
    }

    private let io: any IO
    private let log: Log
    private(set) var settings: Settings
    let monitored: MonitoredUsers
    let history: FlowHistory
    private var ids: FlowIDSource
    /// Flows under way, oldest first; those that have ended leave when they come to the front.
    private var open: [Flow] = []
    private var openStart = 0
    private(set) var openCount = 0
    private(set) var statistics = Statistics()
    /// Checkpoints of watched users that live watchers have not got yet.
    private var unseen: [(checkpoint: Checkpoint, flow: Flow)] = []
    /// Until then the answer has left: nobody waits while its flow is put into words.
    private static let showingDelay = Duration.milliseconds(1)
    /// Publishes one checkpoint on the hub, for live watchers.
    var publish: (Checkpoint, Flow) -> Void = { _, _ in }
    var publishEvent: (ServiceEvent) -> Void = { _ in }
    /// There is something to stream: Redis's feed takes it when it has time.
    var stream: (Flow) -> Void = { _ in }

    init(
        io: any IO, settings: Settings, monitored: MonitoredUsers, history: FlowHistory, log: Log
    ) {
        self.io = io
        self.settings = settings
        self.monitored = monitored
        self.history = history
        self.log = log
        let seed = Digest.random(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        ids = FlowIDSource(seed: seed)
    }

    var checkpointsMax: Int { settings.checkpointsMax }
    var now: MonotonicTime { io.now }
    var wallTime: UInt64 { io.wallMicroseconds }
    func nextID() -> FlowID { ids.next() }

    // MARK: Life

    func start() {
        history.start()
        monitored.start()
        log.info(
            "Flow tracker started",
            fields: [
                "enabled": settings.isEnabled, "max_flows": settings.flowsMax,
                "max_checkpoints": settings.checkpointsMax,
            ])
    }

    /// Saves what is under way as it is; in the database, or on disk where that is away.
    func stop(until deadline: MonotonicTime) async {
        for flow in open[openStart...] where !flow.isEnded {
            flow.fail("the server stops")
            flow.finish()
        }
        showAll()
        monitored.stop()
        await history.stop(until: deadline)
        log.info(
            "Flow tracker stopped",
            fields: ["flows": statistics.finished, "checkpoints": statistics.checkpoints])
    }

    func apply(slowTime: Duration?) { settings.slowTime = slowTime }

    // MARK: Flows

    /// Nil where tracking is off.
    func begin(
        _ source: Flow.Source, for principal: Principal, requestID: String,
        conversation: FlowID? = nil
    ) -> Flow? {
        guard settings.isEnabled else { return nil }
        if openCount >= settings.flowsMax { cutOldest() }
        let user = principal.flowUser
        let flow = Flow(
            id: ids.next(), source: source, user: user, conversation: conversation,
            requestID: requestID,
            // A call's flow is our book-keeping: a span for its row would tell nothing.
            trace: source == .chat ? RequestContext.current?.trace : nil,
            began: io.wallMicroseconds,
            isLive: monitored.contains(user, at: io.wallMicroseconds), tracker: self)
        open.append(flow)
        openCount += 1
        statistics.begun += 1
        return flow
    }

    private func cutOldest() {
        guard let flow = open[openStart...].first(where: { !$0.isEnded }) else { return }
        statistics.cutOff += 1
        flow.cutOff()
    }

    func noted(_ checkpoint: Checkpoint, in flow: Flow) {
        statistics.checkpoints += 1
        if flow.isLive {
            show(checkpoint, of: flow)
            stream(flow)
        }
        guard let slow = settings.slowTime, let took = checkpoint.duration, took > slow else {
            return
        }
        statistics.slow += 1
        publishEvent(.slowCheckpoint(checkpoint, of: flow, limit: slow))
    }

    private func show(_ checkpoint: Checkpoint, of flow: Flow) {
        unseen.append((checkpoint, flow))
        guard unseen.count == 1 else { return }
        io.spawn {
            await self.io.sleep(until: self.io.now + Self.showingDelay)
            self.showAll()
        }
    }

    private func showAll() {
        let shown = unseen
        unseen.removeAll(keepingCapacity: true)
        for (checkpoint, flow) in shown { publish(checkpoint, flow) }
    }

    func finished(_ flow: Flow) {
        openCount -= 1
        statistics.finished += 1
        forgetEnded()
        stream(flow)
        history.save(flow)
    }

    private func forgetEnded() {
        while openStart < open.count, open[openStart].isEnded { openStart += 1 }
        if openStart == open.count {
            open.removeAll(keepingCapacity: true)
            openStart = 0
        } else if openStart > 1024, openStart > open.count / 2 {
            open.removeFirst(openStart)
            openStart = 0
        }
        // One long flow at the front must not keep all that ended behind it.
        if open.count - openStart > 4 * settings.flowsMax {
            open = open[openStart...].filter { !$0.isEnded }
            openStart = 0
        }
    }
}

extension ServiceEvent {
    /// A checkpoint took longer than `[FlowTracker] SlowSec=`.
    fileprivate static func slowCheckpoint(
        _ checkpoint: Checkpoint, of flow: Flow, limit: Duration
    ) -> ServiceEvent {
        var data: JSONValue = [
            "user_id": JSONValue(flow.user), "session_id": .string(flow.id.text),
            "node_id": .string(checkpoint.id.text),
            "checkpoint": .string(checkpoint.kind.rawValue),
            "duration_ms": .double(FlowText.milliseconds(checkpoint.duration ?? .zero)),
            "threshold_ms": .double(FlowText.milliseconds(limit)), "severity": "medium",
        ]
        for (name, value) in checkpoint.fields where "\(name)" == "mcp" { data["mcp_name"] = value }
        for (name, value) in checkpoint.fields where "\(name)" == "tool" { data["tool"] = value }
        return ServiceEvent("flow_slow_checkpoint", data: data)
    }
}
