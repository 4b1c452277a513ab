import OmniCore

/// An MCP server as the coordinator sees it: a session that can be opened, asked for a sign of life
/// and closed, any number of times. `Upstream` is the real one.
///
/// Every method keeps its deadline; the coordinator survives one that does not.
protocol WatchedServer: AnyObject {
    var isConnected: Bool { get }
    /// What the session listed last.
    var toolRecords: [ToolRecord] { get }
    /// Called on the ring when an open session ended without being asked to, with the reason.
    var disconnected: (String) -> Void { get set }
    /// Called on the ring when what the server offers has changed.
    var catalogueChanged: () -> Void { get set }

    /// Opens a session and lists what the server offers.
    func connect(until deadline: MonotonicTime) async throws(ServerFailure)
    /// `ping` and `tools/list` on the open session.
    func check(until deadline: MonotonicTime) async throws(ServerFailure) -> ServerCheck
    func close(until deadline: MonotonicTime) async
}

/// What a healthy server answered.
struct ServerCheck: Sendable, Equatable {
    var toolCount: Int
    var responseTime: Duration
}

/// Why a server could not be reached, or would not answer.
struct ServerFailure: Error, Sendable, Equatable {
    /// A sentence for people: it ends up in events, rows and the journal. What a server made too
    /// long is cut.
    let reason: String
    /// False when the server is there and merely said no: that never opens a circuit.
    let countsAsFailure: Bool

    static let reasonCharactersMax = 500

    init(reason: String, countsAsFailure: Bool = true) {
        let isLong = reason.count > Self.reasonCharactersMax
        self.reason = isLong ? reason.prefix(Self.reasonCharactersMax) + "…" : reason
        self.countsAsFailure = countsAsFailure
    }
}
