import OmniCore
import OmniIO

/// Who wants to hear of changes of which resource.
///
/// A server is asked once however many watch, and told when the last one is gone.
final class ResourceWatches {
    /// A session or a listening stream, by an identity of its own.
    typealias Watcher = ObjectIdentifier

    private struct Key: Hashable {
        let server: Int
        /// As the server knows it.
        let uri: String
    }

    /// How a watcher calls the resource, and how it is told.
    private struct Ear {
        let offered: String
        let tell: (String) -> Void
    }

    private let gateway: Gateway
    private var ears: [Key: [Watcher: Ear]] = [:]
    private var keys: [Watcher: Set<Key>] = [:]

    /// Resources one watcher may watch.
    static let perWatcherMax = 1000

    init(_ gateway: Gateway) { self.gateway = gateway }

    /// - Throws: what the server says against it.
    func add(
        _ watcher: Watcher, _ owner: Gateway.Owner, as offered: String,
        until deadline: MonotonicTime,
        tell: @escaping (String) -> Void
    ) async throws(UpstreamError) {
        let key = Key(server: owner.server, uri: owner.name)
        let isFirst = ears[key] == nil
        guard keys[watcher, default: []].count < Self.perWatcherMax else { throw .overloaded }
        ears[key, default: [:]][watcher] = Ear(offered: offered, tell: tell)
        keys[watcher, default: []].insert(key)
        guard isFirst, let upstream = gateway.server(owner.server)?.upstream else { return }
        do throws(UpstreamError) {
            try await upstream.watch(owner.name, until: deadline)
        } catch {
            remove(watcher, key)
            throw error
        }
    }

    func remove(_ watcher: Watcher, _ owner: Gateway.Owner) {
        remove(watcher, Key(server: owner.server, uri: owner.name))
    }

    func removeAll(_ watcher: Watcher) {
        for key in keys[watcher] ?? [] { remove(watcher, key) }
    }

    private func remove(_ watcher: Watcher, _ key: Key) {
        keys[watcher]?.remove(key)
        if keys[watcher]?.isEmpty == true { keys[watcher] = nil }
        guard ears[key]?.removeValue(forKey: watcher) != nil, ears[key]?.isEmpty == true else {
            return
        }
        ears[key] = nil
        gateway.server(key.server)?.upstream?.unwatch(key.uri)
    }

    /// Access has changed: the watcher hears no more of what it may not read.
    func review(_ watcher: Watcher, for principal: Principal) {
        for key in keys[watcher] ?? [] {
            guard let server = gateway.server(key.server) else { continue }
            if !principal.permission.items.mayRead(resource: key.uri, on: server.name) {
                remove(watcher, key)
            }
        }
    }

    func updated(_ server: Int, uri: String) {
        for ear in (ears[Key(server: server, uri: uri)] ?? [:]).values { ear.tell(ear.offered) }
    }

    /// A server has come back as another object: it is asked anew for what is watched.
    func restore(_ server: LiveServer) {
        guard let upstream = server.upstream else { return }
        let wanted = ears.keys.filter {
            $0.server == server.id && !upstream.watched.contains($0.uri)
        }
        if wanted.isEmpty { return }
        gateway.io.spawn { [gateway] in
            for key in wanted {
                do throws(UpstreamError) {
                    try await upstream.watch(key.uri, until: gateway.io.now + .seconds(10))
                } catch {
                    // It no longer wants to tell: its watchers hear nothing, as with any resource
                    // that never changes.
                }
            }
        }
    }
}
