import OmniCore
import OmniIO

/// What a server is asked to tell by itself: changes of resources, and logs in a certain detail.
extension Upstream {
    /// Whether the server can tell of changes of resources.
    var canWatch: Bool { modern != nil || session.capabilities.contains(.resourcesSubscribe) }

    /// Asks for the changes of a resource.
    ///
    /// - Throws: what the server says against it.
    func watch(_ uri: String, until deadline: MonotonicTime) async throws(UpstreamError) {
        guard watched.insert(uri).inserted else { return }
        if modern != nil { return listen() }
        do throws(UpstreamError) {
            _ = try await request(
                .subscribeResource, paramsJSON: Self.params(uri), until: deadline)
        } catch {
            watched.remove(uri)
            throw error
        }
    }

    /// Nobody wants to hear of it any more.
    func unwatch(_ uri: String) {
        guard watched.remove(uri) != nil, isConnected, let transport else { return }
        if modern != nil { return listen() }
        post(
            UpstreamParams.request(
                calls.nextID(), MCPMethod.unsubscribeResource.name, Self.params(uri)),
            over: transport)
    }

    /// A new session of the handshake era knows nothing of what was watched in the last one.
    func askForWatched(over transport: any UpstreamTransport) {
        for uri in watched {
            post(
                UpstreamParams.request(
                    calls.nextID(), MCPMethod.subscribeResource.name, Self.params(uri)),
                over: transport)
        }
    }

    /// A client wants logs in this detail. What others want less of is left out on their hop.
    func want(_ level: MCPLogLevel) {
        if let known = logLevel, known <= level { return }
        logLevel = level
        guard modern == nil, isConnected, let transport else { return }
        askForLogLevel(level, over: transport)
    }

    func askForLogLevel(_ level: MCPLogLevel, over transport: any UpstreamTransport) {
        guard session.capabilities.contains(.logging) else { return }
        var params = JSONWriter()
        params.object { $0.member("level", "\(level.text)") }
        post(
            UpstreamParams.request(
                calls.nextID(), MCPMethod.setLogLevel.name, params.take()),
            over: transport)
    }

    private static func params(_ uri: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { $0.member("uri", uri) }
        return json.take()
    }
}
