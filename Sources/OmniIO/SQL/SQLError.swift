/// Why a statement has no result.
public enum SQLError: Error, Sendable, Equatable {
    /// The database cannot be reached or went away meanwhile; a write may or may not have happened.
    case connectionLost(String)
    /// The deadline passed first; a write may or may not have happened.
    case timedOut
    /// Too many statements wait already: nothing was sent.
    case crowded
    /// The database refused the statement; `state` is its SQLSTATE (SQLite's codes are translated).
    case failed(state: String, message: String)

    /// A name is taken: unique_violation.
    public var isConflict: Bool {
        if case .failed(SQLState.uniqueViolation, _) = self { true } else { false }
    }

    /// Text for the journal. It may quote values, so it is not for callers.
    public var reason: String {
        switch self {
        case .connectionLost(let reason): reason
        case .timedOut: "the database did not answer in time"
        case .crowded: "too many statements wait for the database"
        case .failed(let state, let message): "\(message) (SQLSTATE \(state))"
        }
    }
}

/// The SQLSTATE values that somebody decides by.
public enum SQLState {
    public static let uniqueViolation = "23505"
    public static let foreignKeyViolation = "23503"
    public static let notNullViolation = "23502"
    public static let checkViolation = "23514"
    public static let syntaxError = "42601"
    public static let invalidText = "22021"
    public static let internalError = "XX000"
}

/// One numbered step of a schema. Never edited after release.
public struct SQLMigration: Sendable, Equatable {
    public var version: Int
    public var name: String
    public var text: String

    public init(version: Int, name: String, text: String) {
        self.version = version
        self.name = name
        self.text = text
    }
}
