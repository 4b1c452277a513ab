import OmniCore
import OmniIO

/// One registered MCP server as we see it: a session that is opened, asked, watched and closed.
///
/// Long-lived: it outlasts sessions. Any number of tasks may call at the same time; each call ends
/// by its answer, its deadline or the loss of the session, and never twice.
final class Upstream {
    private(set) var record: ServerRecord
    var name: String { record.name }
    private(set) var isConnected = false
    private(set) var catalogue = UpstreamCatalogue()
    /// The lists changed while connected.
    var catalogueChanged: (Upstream) -> Void = { _ in }
    /// The session was lost outside of a call.
    var disconnected: (Upstream, UpstreamError) -> Void = { _, _ in }

    private let io: any IO
    private let http: HTTPClient
    private let deadlines: UpstreamDeadlines
    private let log: (UpstreamNotice) -> Void

    init(
        record: ServerRecord, io: any IO, http: HTTPClient,
        deadlines: UpstreamDeadlines = UpstreamDeadlines(),
        log: @escaping (UpstreamNotice) -> Void = { _ in }
    ) {
        self.record = record
        self.io = io
        self.http = http
        self.deadlines = deadlines
        self.log = log
    }

    /// Takes a changed row of the registry. True when the session must be opened anew for it.
    func update(_ record: ServerRecord) -> Bool {
        defer { self.record = record }
        return record.configuration != self.record.configuration
    }

    /// Opens the transport, shakes hands and lists everything.
    func connect(until deadline: MonotonicTime) async throws(UpstreamError) {
        throw .notConnected
    }

    /// Ping and `tools/list`, timed.
    func check(until deadline: MonotonicTime) async throws(UpstreamError) -> UpstreamCheck {
        throw .notConnected
    }

    /// The raw `result` object, as it came. `meta` is merged into `params._meta`; the progress
    /// token is ours, and `progress` receives the raw params of each notification.
    func callTool(
        _ name: String, argumentsJSON: [UInt8], meta: [UInt8]?, until deadline: MonotonicTime,
        progress: (([UInt8]) -> Void)? = nil
    ) async throws(UpstreamError) -> [UInt8] {
        throw .notConnected
    }

    /// Any other method. The raw `result` object, as it came.
    func request(
        _ method: String, paramsJSON: [UInt8]?, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [UInt8] {
        throw .notConnected
    }

    /// Ends the session and the child; calls in flight end with `stopped`.
    func close(until deadline: MonotonicTime) async {}
}
