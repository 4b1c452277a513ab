public import OmniCore

/// The embedded database, seen from the ring: every call runs on the offload thread, one at a time
/// and in order, and is awaited with a deadline.
public final class SQLiteDatabase {
    public struct Settings: Sendable {
        public var path: String
        /// How long a statement waits for another process that writes.
        public var busyTimeout: Duration = .seconds(2)
        /// Statements under way or waiting; the next one fails with `crowded`.
        public var waitingMax = 256

        public init(path: String) { self.path = path }
    }

    /// What the offload thread sees.
    ///
    /// `@unchecked Sendable`: `connection` is touched by offloaded work only, and the offload thread
    /// runs one piece at a time.
    private final class Box: @unchecked Sendable {
        var connection: SQLiteConnection?
    }

    private let io: any IO
    private let settings: Settings
    private let box = Box()
    private var waiting = 0

    public init(_ io: any IO, _ settings: Settings) {
        self.io = io
        self.settings = settings
    }

    /// Opens the file and brings its schema up to date; opens anew when it was open.
    public func open(_ migrations: [SQLMigration], until: MonotonicTime) async throws(SQLError) {
        let settings = settings
        try await perform(until) { box throws(SQLError) in
            box.connection = nil
            let connection = try SQLiteConnection(
                path: settings.path, busyTimeout: settings.busyTimeout)
            try connection.migrate(migrations)
            box.connection = connection
            return []
        }
    }

    /// All of the commands or none; one result for each.
    public func run(_ commands: [SQLCommand], until: MonotonicTime) async throws(SQLError)
        -> [SQLResult]
    {
        try await perform(until) { box throws(SQLError) in
            guard let connection = box.connection else {
                throw .connectionLost("the database is not open")
            }
            return try connection.run(commands, until: until)
        }
    }

    /// Waits for what is under way.
    public func close(until: MonotonicTime) async {
        // Nothing can fail here but the wait; then the file closes when the thread gets to it.
        _ = try? await perform(until) { box throws(SQLError) in
            box.connection = nil
            return []
        }
    }

    @discardableResult
    private func perform(
        _ until: MonotonicTime, _ work: @escaping @Sendable (Box) throws(SQLError) -> [SQLResult]
    ) async throws(SQLError) -> [SQLResult] {
        if waiting == settings.waitingMax { throw .crowded }
        waiting += 1
        let (io, box) = (io, box)
        let answer = Promise<Result<[SQLResult], SQLError>>(io)
        io.spawn { [self] in
            let result = await io.offload { () -> Result<[SQLResult], SQLError> in
                do throws(SQLError) { return .success(try work(box)) } catch {
                    return .failure(error)
                }
            }
            waiting -= 1
            answer.fulfil(result)
        }
        guard let result = await answer.value(until: until) else { throw .timedOut }
        return try result.get()
    }
}
