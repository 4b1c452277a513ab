import OmniCore
import OmniIO

/// One more ring with a thread of its own, for WebSocket subscribers only.
///
/// It has a hub and an event log like the main ring's, and nothing else of the house: the two speak
/// by mail (`ShardMail`) and wake each other by ring messages. Who may come in is decided on the
/// main ring, which hands over the socket after that.
actor Shard: RingActor {
    struct Plan: Sendable {
        /// From 1; the main ring is 0.
        let number: Int
        let count: Int
        let home: RingAddress
        let hub: WebSocketHub.Settings
        let webSocket: WebSocketLimits
        let ring: RingIO.Settings
    }

    nonisolated let executor: LoopExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe executor.asUnownedSerialExecutor()
    }
    nonisolated let orders = Mailbox<ShardOrder>()
    nonisolated let reports = Mailbox<ShardReport>()
    private nonisolated let plan: Plan
    private var io: RingIO?
    private var room: ShardRoom?

    init(_ plan: Plan) throws(SystemError) {
        self.plan = plan
        executor = try LoopExecutor()
    }

    /// The body of its thread.
    nonisolated func run() {
        executor.adoptCurrentThread()
        let opened: Result<RingAddress, SystemError> = assumeIsolated { shard in
            do throws(SystemError) {
                return .success(try shard.open())
            } catch {
                return .failure(error)
            }
        }
        switch opened {
        case .failure(let error): report(.failed(error))
        case .success(let address):
            report(.opened(address))
            do throws(SystemError) {
                try EventLoop.run(self)
            } catch {
                // As on the main ring: systemd starts the daemon anew.
                Console.error("omni2-native: the ring of shard \(plan.number) failed: \(error)\n")
                Process.exit(ExitStatus.failure)
            }
            report(.ended)
        }
    }

    func turn() throws(SystemError) -> Bool {
        guard let io, let room, !room.hasEnded else {
            // The ring goes on the thread that used it.
            room = nil
            io = nil
            return false
        }
        try io.turn(room.door)
        return true
    }

    private func open() throws(SystemError) -> RingAddress {
        let io = try RingIO(settings: plan.ring, executor: executor, owner: self)
        room = try ShardRoom(plan, io: io, orders: orders, reports: reports)
        self.io = io
        return io.address
    }

    /// Outside of any turn.
    private nonisolated func report(_ report: ShardReport) {
        var letters = [report]
        if reports.put(&letters) { plan.home.wake() }
    }
}
