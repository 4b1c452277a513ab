import OmniCore
import OmniIO

/// What several hosts do together. One host alone has all of this too, without anybody to talk to.
final class Cluster {
    /// This host, in messages: ours are not taken for those of others.
    let origin: String
    let link: RedisLink?
    let bus: EventBus
    let blocks: BlockNotices
    let feed: FlowFeed?
    let secondLevel: SecondLevelCache?
    private let log: Log
    private static let monitoringChannel = "omni2:monitoring"

    init(
        io: any IO, target: RedisTarget?, streamEntriesMax: Int, hub: WebSocketHub, cache: Cache,
        log: Log
    ) {
        self.log = log
        var writer = ByteWriter(capacity: 32)
        Digest.random(8).withRawSpan { Hex.encode($0, into: &writer) }
        let origin = writer.string()
        self.origin = origin
        let link = target.map { RedisLink(io: io, target: $0, log: log) }
        self.link = link
        bus = EventBus(hub: hub, link: link, origin: origin)
        blocks = BlockNotices(io: io, link: link, origin: origin)
        feed = link.map {
            FlowFeed(io: io, link: $0, origin: origin, entriesMax: streamEntriesMax)
        }
        secondLevel = link.map { SecondLevelCache(link: $0, cache: cache, origin: origin) }
    }

    /// Users who are watched are watched on all hosts, at once.
    func share(_ monitored: MonitoredUsers) {
        guard let link else { return }
        link.on(Self.monitoringChannel) { [unowned self, unowned monitored] payload in
            if payload != Array(self.origin.utf8) { monitored.readAgain() }
        }
        monitored.changed = { [unowned self] in
            link.publish(Self.monitoringChannel, Array(self.origin.utf8))
        }
    }

    func start() {
        guard let link else { return }
        link.start()
        feed?.start()
        log.info("Cluster started", fields: ["host": origin])
    }

    func stop() {
        feed?.stop()
        link?.stop()
    }

    /// For people: who talks to whom, and how much.
    var report: JSONValue {
        [
            "host": .string(origin), "redis": .bool(link?.isConnected ?? false),
            "redis_dropped": .int(Int64(link?.dropped ?? 0)),
            "events_sent": .int(Int64(bus.sent)), "events_received": .int(Int64(bus.received)),
            "checkpoints_streamed": .int(Int64(feed?.streamed ?? 0)),
            "cache_hits": .int(Int64(secondLevel?.hits ?? 0)),
            "cache_misses": .int(Int64(secondLevel?.misses ?? 0)),
            "cache_stored": .int(Int64(secondLevel?.stored ?? 0)),
        ]
    }
}
