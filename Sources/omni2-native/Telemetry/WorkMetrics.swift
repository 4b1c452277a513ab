import OmniCore

/// The families of what goes on behind the requests: Redis, flows and their history, questions.
final class WorkMetrics {
    private let cluster: Cluster
    private let tracker: FlowTracker
    private let chat: Chat
    private let sent = MetricLabels(MetricFamilies.redisCommands, ["sent"])
    private let dropped = MetricLabels(MetricFamilies.redisCommands, ["dropped"])
    private let outward = MetricLabels(MetricFamilies.clusterEvents, ["sent"])
    private let inward = MetricLabels(MetricFamilies.clusterEvents, ["received"])
    private let rows = ["written", "spooled", "dropped"].map {
        MetricLabels(MetricFamilies.historyRows, [$0])
    }
    private let outcomes = ["answered", "failed", "refused", "cancelled"].map {
        MetricLabels(MetricFamilies.questions, [$0])
    }
    private let tokens = ["input", "output", "cached"].map {
        MetricLabels(MetricFamilies.questionTokens, [$0])
    }

    init(cluster: Cluster, tracker: FlowTracker, chat: Chat) {
        self.cluster = cluster
        self.tracker = tracker
        self.chat = chat
    }

    /// In the order of `MetricFamilies.all`.
    func collect(into sink: inout any MetricSink) {
        collectRedis(into: &sink)
        collectFlows(into: &sink)
        collectQuestions(into: &sink)
    }

    private func collectRedis(into sink: inout any MetricSink) {
        let link = cluster.link
        sink.begin(MetricFamilies.redisUp)
        if let link { sink.value(link.isConnected ? 1 : 0, nil) }
        sink.only(MetricFamilies.redisConnects, link?.connects ?? 0)
        sink.begin(MetricFamilies.redisCommands)
        sink.value(Double(link?.sent ?? 0), sent)
        sink.value(Double(link?.dropped ?? 0), dropped)
        sink.begin(MetricFamilies.clusterEvents)
        sink.value(Double(cluster.bus.sent), outward)
        sink.value(Double(cluster.bus.received), inward)
    }

    private func collectFlows(into sink: inout any MetricSink) {
        let history = tracker.history
        sink.only(MetricFamilies.flows, tracker.statistics.begun)
        sink.only(MetricFamilies.flowsOpen, tracker.openCount)
        sink.only(MetricFamilies.checkpoints, tracker.statistics.checkpoints)
        sink.begin(MetricFamilies.historyRows)
        for (count, labels) in zip([history.written, history.spooled, history.dropped], rows) {
            sink.value(Double(count), labels)
        }
        sink.only(MetricFamilies.spoolBytes, history.spoolBytes)
    }

    private func collectQuestions(into sink: inout any MetricSink) {
        let counts = chat.statistics
        sink.begin(MetricFamilies.questions)
        let ends = [counts.answered, counts.failed, counts.refused, counts.cancelled]
        for (count, labels) in zip(ends, outcomes) { sink.value(Double(count), labels) }
        sink.begin(MetricFamilies.questionTokens)
        let usage = [counts.usage.input, counts.usage.output, counts.usage.cached]
        for (count, labels) in zip(usage, tokens) { sink.value(Double(count), labels) }
        sink.only(MetricFamilies.questionCost, counts.dollars)
    }
}
