import OmniCore
import OmniIO

@testable import omni2_native

/// An MCP server in whatever mood a test wants it.
final class FakeServer: WatchedServer {
    enum Mood: Equatable {
        case healthy
        /// Answers at once that it will not.
        case failing(ServerFailure)
        /// Says nothing until the deadline.
        case hanging
        /// Says nothing, and ignores the deadline.
        case deaf
    }

    let record: ServerRecord
    var mood: Mood
    private(set) var isConnected = false
    var toolRecords = [ToolRecord(name: "now", description: nil, inputSchema: "{}")]
    var disconnected: (String) -> Void = { _ in }
    var catalogueChanged: () -> Void = {}

    private(set) var connects = 0
    private(set) var checks = 0
    private(set) var closes = 0
    /// While set, a check waits for it.
    var gate: Promise<Void>?
    private let io: any IO
    private let bell: Bell

    init(_ record: ServerRecord, mood: Mood, io: any IO, bell: Bell) {
        self.record = record
        self.mood = mood
        self.io = io
        self.bell = bell
    }

    func connect(until deadline: MonotonicTime) async throws(ServerFailure) {
        connects += 1
        bell.ring()
        try await act(until: deadline)
        isConnected = true
    }

    func check(until deadline: MonotonicTime) async throws(ServerFailure) -> ServerCheck {
        checks += 1
        bell.ring()
        if let gate { await gate.value(until: .distantFuture) }
        try await act(until: deadline)
        return ServerCheck(toolCount: toolRecords.count, responseTime: .milliseconds(7))
    }

    func close(until deadline: MonotonicTime) async {
        closes += 1
        isConnected = false
        bell.ring()
        if mood == .deaf { await io.sleep(until: .distantFuture) }
    }

    /// A child that dies, a connection that breaks.
    func die(_ reason: String) {
        isConnected = false
        mood = .failing(ServerFailure(reason: reason))
        disconnected(reason)
    }

    private func act(until deadline: MonotonicTime) async throws(ServerFailure) {
        switch mood {
        case .healthy: return
        case .failing(let failure): throw failure
        case .hanging:
            await io.sleep(until: deadline)
            throw ServerFailure(reason: "timed out")
        case .deaf: await io.sleep(until: .distantFuture)
        }
    }
}
