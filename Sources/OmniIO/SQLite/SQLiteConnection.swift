internal import CShims.Linux
internal import CShims.SQLite
internal import Glibc
internal import OmniCore

/// One open database file: blocking calls, made on the offload thread only.
///
/// `@safe`: the pointers are private, made by SQLite and given back to it in `deinit`.
@safe
final class SQLiteConnection {
    /// A prepared statement and where its `$1`, `$2`, … are bound.
    @safe
    private struct Prepared {
        let statement: OpaquePointer
        let columns: [String]
    }

    /// Beyond it a statement is prepared for one use: texts come from a fixed set, so only a defect
    /// gets there.
    private static let preparedMax = 128
    /// Virtual machine steps between two looks at the clock.
    private static let stepsPerCheck: Int32 = 10_000

    private let handle: OpaquePointer
    private var prepared: [String: Prepared] = [:]
    /// Nanoseconds of CLOCK_MONOTONIC; read by the progress handler.
    private let deadline: UnsafeMutablePointer<UInt64>

    /// Opens or creates the file, in WAL mode.
    init(path: String, busyTimeout: Duration) throws(SQLError) {
        Self.create(path)
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX
        let status = unsafe sqlite3_open_v2(path, &opened, flags, nil)
        guard status == SQLITE_OK, let opened = unsafe opened else {
            defer { unsafe sqlite3_close_v2(opened) }
            throw unsafe Self.error(status, opened)
        }
        unsafe handle = unsafe opened
        unsafe deadline = .allocate(capacity: 1)
        unsafe deadline.initialize(to: .max)
        unsafe sqlite3_extended_result_codes(handle, 1)
        unsafe sqlite3_busy_timeout(handle, Int32(clamping: busyTimeout.milliseconds))
        unsafe sqlite3_progress_handler(handle, Self.stepsPerCheck, pastDeadline, deadline)
        // Full durability is for PostgreSQL: here a power cut may cost the last writes, never the
        // file.
        try script(
            """
            PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
            PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216;
            """)
    }

    deinit {
        for prepared in prepared.values { unsafe sqlite3_finalize(prepared.statement) }
        unsafe sqlite3_close_v2(handle)
        unsafe deadline.deallocate()
    }

    /// Rows hold secrets: the file, and with it the log beside it, is the daemon's alone.
    private static func create(_ path: String) {
        let flags = O_RDWR | O_CREAT | O_CLOEXEC
        let descriptor = unsafe Glibc.open(path, flags, mode_t(0o600))
        // What stands in the way, SQLite says itself.
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// All of them or none.
    func run(_ commands: [SQLCommand], until: MonotonicTime) throws(SQLError) -> [SQLResult] {
        unsafe deadline.pointee = until.nanoseconds
        defer { unsafe deadline.pointee = .max }
        if Self.isPast(until) { throw .timedOut }
        if commands.count == 1 { return [try perform(commands[0])] }
        return try transaction { () throws(SQLError) in
            var results: [SQLResult] = []
            for command in commands { results.append(try perform(command)) }
            return results
        }
    }

    /// IMMEDIATE: the lock is taken at the start, where waiting for it is safe.
    func transaction<Value>(_ body: () throws(SQLError) -> Value) throws(SQLError) -> Value {
        try script("BEGIN IMMEDIATE")
        do throws(SQLError) {
            let value = try body()
            try script("COMMIT")
            return value
        } catch {
            // Some failures have rolled back already; then this one says so and changes nothing.
            unsafe deadline.pointee = .max
            _ = unsafe sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
            throw error
        }
    }

    func script(_ text: String) throws(SQLError) {
        let status = unsafe sqlite3_exec(handle, text, nil, nil, nil)
        if status != SQLITE_OK { throw unsafe Self.error(status, handle) }
    }

    func perform(_ command: SQLCommand) throws(SQLError) -> SQLResult {
        let entry = try prepare(command.text)
        let statement = unsafe entry.statement
        defer {
            unsafe sqlite3_reset(statement)
            unsafe sqlite3_clear_bindings(statement)
            if prepared[command.text] == nil { unsafe sqlite3_finalize(statement) }
        }
        try unsafe bind(command.values, to: statement)
        var rows: [SQLRow] = []
        while true {
            let status = unsafe sqlite3_step(statement)
            if status == SQLITE_DONE { break }
            guard status == SQLITE_ROW else { throw unsafe Self.error(status, handle) }
            let values = entry.columns.indices.map { unsafe value(of: statement, Int32($0)) }
            rows.append(SQLRow(columns: entry.columns, values: values))
        }
        let isQuery = unsafe sqlite3_stmt_readonly(statement) != 0
        return SQLResult(rows: rows, affected: isQuery ? 0 : Int(unsafe sqlite3_changes(handle)))
    }

    private func prepare(_ text: String) throws(SQLError) -> Prepared {
        if let known = prepared[text] { return known }
        var statement: OpaquePointer?
        let status = unsafe sqlite3_prepare_v3(
            handle, text, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard status == SQLITE_OK, let statement = unsafe statement else {
            throw unsafe Self.error(status, handle)
        }
        let columns = (0..<(unsafe sqlite3_column_count(statement))).map { index in
            unsafe String(cString: sqlite3_column_name(statement, index))
        }
        let entry = unsafe Prepared(statement: statement, columns: columns)
        if prepared.count < Self.preparedMax { prepared[text] = entry }
        return entry
    }

    private func bind(_ values: [SQLValue], to statement: OpaquePointer) throws(SQLError) {
        for (position, value) in values.enumerated() {
            let index = unsafe sqlite3_bind_parameter_index(statement, "$\(position + 1)")
            // The other engine's form of the statement uses it.
            if index == 0 { continue }
            let status: Int32
            switch value {
            case .null: status = unsafe sqlite3_bind_null(statement, index)
            case .integer(let number): status = unsafe sqlite3_bind_int64(statement, index, number)
            case .real(let number): status = unsafe sqlite3_bind_double(statement, index, number)
            case .text(let text):
                status = unsafe text.withCString {
                    unsafe omni2_sqlite_bind_text(
                        statement, index, $0, Int32(clamping: text.utf8.count))
                }
            }
            if status != SQLITE_OK { throw unsafe Self.error(status, handle) }
        }
    }

    private func value(of statement: OpaquePointer, _ column: Int32) -> SQLValue {
        switch unsafe sqlite3_column_type(statement, column) {
        case SQLITE_NULL: return .null
        case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: return .real(unsafe sqlite3_column_double(statement, column))
        default:
            guard let text = unsafe sqlite3_column_text(statement, column) else { return .null }
            let bytes = unsafe UnsafeBufferPointer(
                start: text, count: Int(sqlite3_column_bytes(statement, column)))
            return .text(unsafe String(decoding: bytes, as: UTF8.self))
        }
    }

    private static func isPast(_ deadline: MonotonicTime) -> Bool {
        omni2_clock(CLOCK_MONOTONIC) >= deadline.nanoseconds
    }

    private static func error(_ status: Int32, _ handle: OpaquePointer?) -> SQLError {
        let known = unsafe handle.map { unsafe String(cString: sqlite3_errmsg($0)) }
        let message = known ?? (unsafe String(cString: sqlite3_errstr(status)))
        switch status & 0xFF {
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_INTERRUPT: return .timedOut
        case SQLITE_CANTOPEN, SQLITE_IOERR, SQLITE_FULL, SQLITE_READONLY, SQLITE_NOTADB,
            SQLITE_CORRUPT, SQLITE_NOMEM, SQLITE_PERM, SQLITE_AUTH, SQLITE_PROTOCOL:
            return .connectionLost(message)
        case SQLITE_CONSTRAINT: return .failed(state: constraintState(status), message: message)
        case SQLITE_ERROR: return .failed(state: SQLState.syntaxError, message: message)
        default: return .failed(state: SQLState.internalError, message: message)
        }
    }

    /// The extended codes, which SQLite defines as `SQLITE_CONSTRAINT | n << 8`.
    private static func constraintState(_ status: Int32) -> String {
        switch status >> 8 {
        case 1: SQLState.checkViolation
        case 3: SQLState.foreignKeyViolation
        case 5: SQLState.notNullViolation
        case 6, 8, 10: SQLState.uniqueViolation
        default: "23000"
        }
    }
}

/// Asked by SQLite every few thousand steps: other than 0 interrupts the statement.
private func pastDeadline(_ context: UnsafeMutableRawPointer?) -> Int32 {
    guard let context = unsafe context else { return 0 }
    let deadline = unsafe context.load(as: UInt64.self)
    return deadline != .max && omni2_clock(CLOCK_MONOTONIC) >= deadline ? 1 : 0
}
