internal import CShims.Bus
internal import CShims.Systemd
internal import OmniCore

/// `org.freedesktop.LogControl1` on the system bus: `systemctl service-log-level UNIT debug` changes
/// the level of the running daemon. Messages are few and small; sd-bus handles them on the ring.
///
/// A host without a bus is a normal case: the connection is tried again, seldom.
public final class LogControl {
    private static let retryTime = Duration.seconds(60)

    private let io: any IO
    private let name: String
    private let journal: Journal
    /// The level changed over the bus: before, after.
    private let changed: (LogLevel, LogLevel) -> Void
    private var connection: Connection?
    private var isStopped = false

    public init(
        _ name: String, _ journal: Journal, io: any IO,
        changed: @escaping (LogLevel, LogLevel) -> Void
    ) {
        self.name = name
        self.journal = journal
        self.io = io
        self.changed = changed
    }

    public func start() { io.spawn { await self.run() } }

    /// Gives the name back by hanging up.
    public func stop() {
        isStopped = true
        connection?.hangUp()
    }

    private func run() async {
        while !isStopped {
            do throws(SystemError) {
                let connection = try Connection(name, Calls(journal, changed))
                self.connection = connection
                try await connection.serve(io)
            } catch {
                // No bus, no right to the name, or a bus that ended: all may change.
            }
            connection = nil
            if !isStopped { await io.sleep(until: io.now + Self.retryTime) }
        }
    }

    /// What sd-bus calls, on the ring thread, inside `serve`.
    private final class Calls {
        let journal: Journal
        let changed: (LogLevel, LogLevel) -> Void

        init(_ journal: Journal, _ changed: @escaping (LogLevel, LogLevel) -> Void) {
            self.journal = journal
            self.changed = changed
        }

        func set(_ number: Int32) {
            let level = LogLevel(rawValue: UInt8(clamping: number)) ?? .critical
            let before = journal.level
            journal.level = level
            if level != before { changed(before, level) }
        }
    }

    /// One connection to the bus. `@safe`: the pointer is private and lives as long as the object, and
    /// so do the calls it leads to.
    @safe
    private final class Connection {
        private let control: OpaquePointer
        private let calls: Calls

        init(_ name: String, _ calls: Calls) throws(SystemError) {
            self.calls = calls
            var table = unsafe omni2_log_control_calls()
            unsafe table.context = Unmanaged.passUnretained(calls).toOpaque()
            unsafe table.level = { context in
                guard let context = unsafe context else { return 6 }
                let calls = unsafe Unmanaged<Calls>.fromOpaque(context).takeUnretainedValue()
                return Int32(calls.journal.level.rawValue)
            }
            unsafe table.set_level = { context, level in
                guard let context = unsafe context else { return }
                unsafe Unmanaged<Calls>.fromOpaque(context).takeUnretainedValue().set(level)
            }
            unsafe table.target = unsafe Self.journalName
            unsafe table.identifier = unsafe Self.identifier
            var made: OpaquePointer?
            let status = unsafe omni2_log_control_open(name, &table, &made)
            guard status == 0, let control = unsafe made else {
                throw SystemError("sd_bus_start", status)
            }
            unsafe self.control = unsafe control
        }

        deinit { unsafe omni2_log_control_close(control) }

        // Literals live for ever.
        private static var journalName: UnsafePointer<CChar> { unsafe cString("journal") }
        private static var identifier: UnsafePointer<CChar> { unsafe cString("omni2-native") }
        private static func cString(_ text: StaticString) -> UnsafePointer<CChar> {
            unsafe UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
        }

        func hangUp() { Sockets.shutdown(unsafe omni2_log_control_descriptor(control)) }

        /// Returns never but by throwing: the connection ended, or the name is not ours to have.
        func serve(_ io: any IO) async throws(SystemError) {
            while true {
                let status = unsafe omni2_log_control_process(control)
                if status < 0 { throw SystemError("sd_bus_process", status) }
                let events = unsafe omni2_log_control_events(control)
                if events < 0 { throw SystemError("sd_bus_get_events", events) }
                do throws(SystemError) {
                    _ = try await io.readiness(
                        of: unsafe omni2_log_control_descriptor(control),
                        Readiness(rawValue: UInt32(events)), until: deadline(io))
                } catch {
                    if !error.isTimeout { throw error }
                }
            }
        }

        private func deadline(_ io: any IO) -> MonotonicTime {
            let microseconds = unsafe omni2_log_control_deadline(control)
            guard microseconds != .max else { return .distantFuture }
            let now = omni2_monotonic_us()
            return io.now + .microseconds(microseconds > now ? Int64(microseconds - now) : 0)
        }
    }
}
