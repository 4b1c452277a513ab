import OmniCore

/// For people who wonder what a dashboard gets: the figures of one ring, or of several added up.
struct HubReport: Sendable {
    var connections: [JSONValue] = []
    var subscriptions = 0
    var eventStreams = 0
    var published: UInt64 = 0
    var deliveries: UInt64 = 0
    var sends: UInt64 = 0
    var cutSends: UInt64 = 0
    var resyncs: UInt64 = 0
    var resumed: UInt64 = 0
    var stalled: UInt64 = 0
    var refused: UInt64 = 0
    /// Rings that answered.
    var shards = 1

    /// Every event is published on every ring: `published` is not added.
    mutating func add(_ other: HubReport) {
        connections += other.connections
        subscriptions += other.subscriptions
        deliveries += other.deliveries
        sends += other.sends
        cutSends += other.cutSends
        resyncs += other.resyncs
        resumed += other.resumed
        stalled += other.stalled
        refused += other.refused
        shards += other.shards
    }

    var json: JSONValue {
        let count = connections.count
        return [
            "active_connections": JSONValue(count), "connections": .array(connections),
            "event_streams": JSONValue(eventStreams),
            "subscription_stats": [
                "total_connections": JSONValue(count),
                "total_subscriptions": JSONValue(subscriptions),
                "avg_subs_per_conn": .double(
                    count == 0 ? 0 : Double(subscriptions) / Double(count)),
            ],
            "published": .int(Int64(published)), "deliveries": .int(Int64(deliveries)),
            "sends": .int(Int64(sends)), "cut_sends": .int(Int64(cutSends)),
            "resyncs": .int(Int64(resyncs)), "resumed": .int(Int64(resumed)),
            "stalled": .int(Int64(stalled)), "refused": .int(Int64(refused)),
            "shards": JSONValue(shards),
        ]
    }
}

extension WebSocketHub {
    /// Of this ring, which is number `shard` of `shards`: it gives connections their numbers.
    func report(shard: Int = 0, of shards: Int = 1) -> HubReport {
        let next = fanout.events.next
        var report = HubReport()
        for peer in peers.compactMap({ $0 }) {
            report.subscriptions += peer.subscriptions.count
            report.connections.append([
                "conn_id": JSONValue(Int(peer.slot) * shards + shard),
                "user_id": .string(peer.principal.id),
                "user_role": .string(peer.principal.role.rawValue),
                "subscriptions": JSONValue(peer.subscriptions.count),
                "subscription_ids": JSONValue(peer.subscriptions.ids),
                "behind": .int(Int64(next - min(fanout.rows[Int(peer.slot)].cursor, next))),
            ])
        }
        report.eventStreams = streams.count
        report.published = fanout.statistics.published
        report.deliveries = fanout.statistics.deliveries
        report.sends = fanout.statistics.flights
        report.cutSends = fanout.statistics.cuts
        report.resyncs = statistics.resyncs
        report.resumed = statistics.resumed
        report.stalled = statistics.stalled
        report.refused = statistics.refused
        return report
    }
}
