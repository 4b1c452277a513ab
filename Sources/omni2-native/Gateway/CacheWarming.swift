import OmniCore
import OmniIO

/// Makes the last run's most used shared calls again after a start, politely: one at a time, a few
/// a second, only what may be cached now, and nothing more of a server that failed once.
final class CacheWarming {
    private let gateway: Gateway
    private let cache: Cache
    private let log: Log
    private var isStopped = false

    /// Between two calls.
    private static let pause = Duration.milliseconds(200)

    init(_ gateway: Gateway, _ cache: Cache, log: Log) {
        self.gateway = gateway
        self.cache = cache
        self.log = log
    }

    /// Once the servers are loaded.
    func start() {
        guard let warmth = cache.warmth else { return }
        let calls = warmth.load()
        if !calls.isEmpty { gateway.io.spawn { await self.make(calls) } }
    }

    func stop() { isStopped = true }

    private func make(_ calls: [CacheWarmth.Call]) async {
        var failed: Set<String> = []
        var warmed = 0
        for call in calls where !failed.contains(call.server) {
            if isStopped { return }
            guard let request = request(call), gateway.caller.wantsFilling(request) else {
                continue
            }
            let deadline = gateway.io.now + gateway.callTime(of: request.server)
            if case .result = await gateway.caller.call(request, until: deadline) {
                warmed += 1
            } else {
                failed.insert(call.server)
            }
            await gateway.io.sleep(until: gateway.io.now + Self.pause)
        }
        log.info(
            "cache warmed",
            fields: ["calls": warmed, "of": calls.count, "servers_failed": failed.count])
    }

    /// Nil for a server or tool that is not there now.
    private func request(_ call: CacheWarmth.Call) -> ToolCall? {
        guard let server = gateway.server(named: call.server),
            let item = gateway.catalogue.tools.first(where: {
                $0.server == server.id && $0.name == call.tool
            })
        else { return nil }
        return ToolCall(
            server: server, tool: call.tool, annotations: item.annotations,
            arguments: call.arguments, mayBeCached: true, principal: .anonymous,
            requestID: "warming")
    }
}
