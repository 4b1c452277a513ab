import OmniCore
import OmniIO

/// Sessions with a server that belong to one principal each, where the registry says
/// `"session": "principal"` in `meta_data`: state a server keeps per session is then nobody else's.
///
/// Opened by the principal's first request, closed when they were idle for a while; bounded per
/// server. The server's own session, which lists and is checked, stays the shared one.
final class PersonalUpstreams {
    private struct Key: Hashable {
        let server: Int
        let principal: String
    }

    private final class Entry {
        let upstream: Upstream
        let server: LiveServer
        var lastUsed: MonotonicTime
        var users = 0

        init(_ upstream: Upstream, of server: LiveServer, now: MonotonicTime) {
            self.upstream = upstream
            self.server = server
            lastUsed = now
        }
    }

    private let io: any IO
    private let make: (ServerRecord) -> Upstream
    private var entries: [Key: Entry] = [:]

    private static let perServerMax = 256
    private static let idleTime = Duration.seconds(600)

    init(io: any IO, make: @escaping (ServerRecord) -> Upstream) {
        self.io = io
        self.make = make
    }

    var count: Int { entries.count }

    /// The session this principal's requests go to.
    func upstream(
        of server: LiveServer, for principal: Principal, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> Upstream {
        guard let shared = server.upstream else { throw .notConnected }
        guard shared.settings.isPersonal, !principal.id.isEmpty else { return shared }
        let entry = entry(of: server, for: principal)
        entry.lastUsed = io.now
        entry.users += 1
        defer { entry.users -= 1 }
        if !entry.upstream.isConnected { try await entry.upstream.connect(until: deadline) }
        return entry.upstream
    }

    private func entry(of server: LiveServer, for principal: Principal) -> Entry {
        let key = Key(server: server.id, principal: principal.id)
        if let known = entries[key] {
            if known.server === server { return known }
            // Of a row that was replaced.
            close(key)
        }
        let others = entries.filter { $0.key.server == server.id && $0.value.users == 0 }
        if others.count >= Self.perServerMax,
            let oldest = others.min(by: { $0.value.lastUsed < $1.value.lastUsed })
        {
            close(oldest.key)
        }
        let entry = Entry(make(server.record), of: server, now: io.now)
        entries[key] = entry
        return entry
    }

    private func close(_ key: Key) {
        guard let entry = entries.removeValue(forKey: key) else { return }
        io.spawn { [io] in await entry.upstream.close(until: io.now + .seconds(5)) }
    }

    func forget(_ server: Int) {
        for key in entries.keys where key.server == server { close(key) }
    }

    /// Once in a while.
    func tidy() {
        for (key, entry) in entries
        where entry.users == 0 && io.now - entry.lastUsed >= Self.idleTime {
            close(key)
        }
    }

    /// Ends all of them; a child must not outlive us.
    func closeAll(until deadline: MonotonicTime) async {
        let closing = entries.values.map(\.upstream)
        entries = [:]
        for upstream in closing { await upstream.close(until: deadline) }
    }
}
