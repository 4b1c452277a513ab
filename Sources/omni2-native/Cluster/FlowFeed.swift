import OmniCore
import OmniIO

/// Streams flows to Redis under the original's names: `XADD flow:{session}`, kept for a day, and for
/// watched users `PUBLISH flow_events:{user}`.
///
/// A flow is noted on the request's path and streamed a millisecond later, when the answer has left,
/// together with all others of that moment.
final class FlowFeed {
    private static let pause = Duration.milliseconds(1)
    private static let keptSeconds = "86400"
    /// Flows that wait; beyond it the stream has a gap. History has none.
    private static let queueMax = 50_000

    private let io: any IO
    private let link: RedisLink
    private let origin: String
    private let entriesMax: Int
    private var queue: [Flow] = []
    private let alarm: Alarm
    private var isStopped = false
    private(set) var streamed: UInt64 = 0

    init(io: any IO, link: RedisLink, origin: String, entriesMax: Int) {
        self.io = io
        self.link = link
        self.origin = origin
        self.entriesMax = entriesMax
        alarm = Alarm(io)
    }

    func start() { io.spawn { await self.run() } }

    func stop() {
        flush()
        isStopped = true
        alarm.ring()
    }

    func note(_ flow: Flow) {
        guard link.isConnected, queue.count < Self.queueMax else { return }
        queue.append(flow)
        alarm.ring()
    }

    private func run() async {
        while !isStopped {
            await alarm.wait(until: .distantFuture)
            await io.sleep(until: io.now + Self.pause)
            flush()
        }
    }

    private func flush() {
        let flows = queue
        queue.removeAll(keepingCapacity: true)
        for flow in flows { stream(flow) }
    }

    private func stream(_ flow: Flow) {
        guard flow.streamed < flow.checkpoints.count else { return }
        let key = "flow:\(flow.id.text)"
        let isFirst = flow.streamed == 0
        while flow.streamed < flow.checkpoints.count {
            let checkpoint = flow.checkpoints[flow.streamed]
            flow.streamed += 1
            streamed += 1
            link.send(
                ["XADD", key, "MAXLEN", "~", String(entriesMax), "*"]
                    + FlowText.streamFields(checkpoint, of: flow))
            if flow.isLive {
                link.publish(
                    "flow_events:\(flow.user)",
                    FlowText.live(checkpoint, of: flow, sequence: nil, origin: origin))
            }
        }
        if isFirst || flow.isEnded { link.send(["EXPIRE", key, Self.keptSeconds]) }
    }
}
