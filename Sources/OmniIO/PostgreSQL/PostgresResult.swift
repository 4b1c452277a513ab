internal import CShims.PostgreSQL
internal import Glibc

/// Reads what libpq hands out.
enum PostgresResult {
    /// The types whose text is a number, by their fixed identifiers.
    private enum ColumnKind {
        case flag, integer, real, text

        init(_ type: Oid) {
            switch type {
            case 16: self = .flag
            case 20, 21, 23, 26: self = .integer
            case 700, 701, 1700: self = .real
            default: self = .text
            }
        }
    }

    static func read(_ result: OpaquePointer) -> SQLResult {
        let count = unsafe PQnfields(result)
        let columns = (0..<count).map { unsafe String(cString: PQfname(result, $0)) }
        let kinds = (0..<count).map { ColumnKind(unsafe PQftype(result, $0)) }
        let rows = (0..<(unsafe PQntuples(result))).map { row in
            SQLRow(
                columns: columns,
                values: kinds.indices.map {
                    unsafe value(result, row, Int32($0), kinds[$0])
                })
        }
        let status = unsafe PQresultStatus(result)
        let isQuery = unsafe status == PGRES_TUPLES_OK && isSelect(result)
        let affected = unsafe isQuery ? 0 : Int(String(cString: PQcmdTuples(result))) ?? 0
        return SQLResult(rows: rows, affected: affected)
    }

    private static func isSelect(_ result: OpaquePointer) -> Bool {
        unsafe String(cString: PQcmdStatus(result)).hasPrefix("SELECT")
    }

    private static func value(
        _ result: OpaquePointer, _ row: Int32, _ column: Int32, _ kind: ColumnKind
    ) -> SQLValue {
        if unsafe PQgetisnull(result, row, column) == 1 { return .null }
        let bytes = unsafe UnsafeRawBufferPointer(
            start: PQgetvalue(result, row, column), count: Int(PQgetlength(result, row, column)))
        let text = unsafe String(decoding: bytes, as: UTF8.self)
        switch kind {
        case .flag: return SQLValue(text == "t")
        case .integer: return SQLValue(Int64(text))
        case .real: return SQLValue(Double(text))
        case .text: return .text(text)
        }
    }

    /// Classes of SQLSTATE: 08 connection, 53 resources (too many connections, disk full), 57 an
    /// operator's doing, 55P03 a lock not had in time, 57014 the statement timeout, 25006 a standby.
    static func error(_ result: OpaquePointer) -> SQLError {
        let state = unsafe text(omni2_postgres_state(result)) ?? SQLState.internalError
        let message = unsafe text(omni2_postgres_message(result)) ?? "the server gave no reason"
        switch state {
        case "57014", "55P03": return .timedOut
        case "25006": return .connectionLost(message)
        default: break
        }
        switch state.prefix(2) {
        case "08", "53", "57": return .connectionLost(message)
        default: return .failed(state: state, message: message)
        }
    }

    private static func text(_ text: UnsafePointer<CChar>?) -> String? {
        guard let text = unsafe text else { return nil }
        return unsafe String(cString: text)
    }

    static func firstLine(_ text: String) -> String {
        text.split(separator: "\n", maxSplits: 1).first.map(String.init) ?? "connection closed"
    }
}

/// Lends an array of C strings for one call; nil elements stay NULL, and a NULL ends it.
func withCStrings<Value>(
    _ texts: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Value
) -> Value {
    var pointers = unsafe texts.map { text -> UnsafePointer<CChar>? in
        guard let text, let copy = unsafe strdup(text) else { return nil }
        return unsafe UnsafePointer(copy)
    }
    unsafe pointers.append(nil)
    defer {
        for index in unsafe pointers.indices {
            unsafe free(UnsafeMutablePointer(mutating: pointers[index]))
        }
    }
    return unsafe pointers.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else {
            preconditionFailure("an array with an element has an address")
        }
        return unsafe body(base)
    }
}

extension SQLValue {
    /// As a parameter in text form.
    var postgresText: String? {
        switch self {
        case .null: nil
        case .integer(let number): String(number)
        case .real(let number): String(number)
        case .text(let text): text
        }
    }

    /// PostgreSQL holds no NUL in a text, and a C string would end there.
    var holdsNul: Bool {
        if case .text(let text) = self { text.utf8.contains(0) } else { false }
    }
}
