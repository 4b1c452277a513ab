import OmniCore
import OmniIO

/// An `Upstream` as the coordinator watches it.
final class WatchedUpstream: WatchedServer {
    let upstream: Upstream
    var disconnected: (String) -> Void = { _ in }
    var catalogueChanged: () -> Void = {}

    init(_ upstream: Upstream) {
        self.upstream = upstream
        upstream.disconnected = { [weak self] _, error in
            self?.disconnected(error.description)
        }
        upstream.catalogueChanged = { [weak self] _ in self?.catalogueChanged() }
    }

    var isConnected: Bool { upstream.isConnected }

    var toolRecords: [ToolRecord] {
        upstream.catalogue.tools.map { item in
            item.json.withRawSpan { bytes in
                let whole = ByteRange(offset: 0, count: bytes.byteCount)
                let description = JSONScanner.member("description", of: whole, in: bytes)
                let schema = JSONScanner.member("inputSchema", of: whole, in: bytes)
                return ToolRecord(
                    name: item.name, description: JSONScanner.string(description, in: bytes),
                    inputSchema: schema.map { bytes.string($0) } ?? "{}")
            }
        }
    }

    func connect(until deadline: MonotonicTime) async throws(ServerFailure) {
        do throws(UpstreamError) {
            try await upstream.connect(until: deadline)
        } catch {
            throw ServerFailure(error)
        }
    }

    func check(until deadline: MonotonicTime) async throws(ServerFailure) -> ServerCheck {
        do throws(UpstreamError) {
            let check = try await upstream.check(until: deadline)
            return ServerCheck(toolCount: check.toolCount, responseTime: check.responseTime)
        } catch {
            throw ServerFailure(error)
        }
    }

    func close(until deadline: MonotonicTime) async { await upstream.close(until: deadline) }
}

extension ServerFailure {
    fileprivate init(_ error: UpstreamError) {
        // Without a session there is nothing to ask: for a watcher that is a failure like any other.
        self.init(
            reason: error.description,
            countsAsFailure: error.countsAsFailure || error == .notConnected)
    }
}

extension LiveServer {
    /// The real session; tests of the coordinator have others.
    var upstream: Upstream? { (session as? WatchedUpstream)?.upstream }
}
