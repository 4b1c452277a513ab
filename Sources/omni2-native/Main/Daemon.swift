import OmniCore
import OmniIO

/// The actor that owns ring, connections and services. Its executor is the ring thread.
///
/// Services are plain classes created in here; they are not `Sendable`, so the compiler proves that
/// they never leave.
actor Daemon: RingActor {
    nonisolated let executor: LoopExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe executor.asUnownedSerialExecutor()
    }

    private let configuration: Configuration
    private let environment: Environment
    private var io: RingIO?
    private var house: House?

    init(_ configuration: Configuration, _ environment: Environment) throws(StartError) {
        self.configuration = configuration
        self.environment = environment
        do throws(SystemError) {
            executor = try LoopExecutor()
        } catch {
            throw .system(error)
        }
    }

    /// Serves until told to stop; returns the exit status. The calling thread is the ring thread.
    nonisolated func run() -> Int32 {
        executor.adoptCurrentThread()
        let opened: Result<Void, StartError> = assumeIsolated { daemon in
            do throws(StartError) {
                return .success(try daemon.open())
            } catch {
                return .failure(error)
            }
        }
        if case .failure(let error) = opened {
            Console.error("omni2-native: \(error)\n")
            Main.tellManager(environment, error.description, errno: error.errno)
            return error.exitStatus
        }
        do throws(SystemError) {
            try EventLoop.run(self)
            return ExitStatus.success
        } catch {
            Console.error("omni2-native: the ring failed: \(error)\n")
            return ExitStatus.failure
        }
    }

    func turn() throws(SystemError) -> Bool {
        guard let io, let house, !house.hasEnded else { return false }
        try io.turn(house.door)
        return true
    }

    private func open() throws(StartError) {
        let limits = Limits.standard(from: configuration)
        let signals: Descriptor
        do throws(SystemError) {
            signals = try Process.signalDescriptor([.terminate, .interrupt, .hangUp])
        } catch {
            throw .system(error)
        }
        let io: RingIO
        do throws(SystemError) {
            io = try RingIO(settings: limits.ring, executor: executor, owner: self)
        } catch {
            throw .noRing(error)
        }
        self.io = io
        let house = try House(
            configuration, environment, limits: limits, io: io, loop: { io.statistics })
        self.house = house
        house.signalDescriptor = signals.take()
        io.spawn { await house.live() }
    }
}
