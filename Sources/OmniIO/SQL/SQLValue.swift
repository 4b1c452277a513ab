/// What goes into a statement and comes out of it: the same for both engines.
///
/// Times travel as integers (microseconds since 1970 UTC), JSON and lists as JSON text: each engine's
/// statements convert to and from the types of their columns.
public enum SQLValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)

    public init(_ value: Int?) { self = value.map { .integer(Int64($0)) } ?? .null }
    public init(_ value: Int64?) { self = value.map { .integer($0) } ?? .null }
    public init(_ value: Double?) { self = value.map { .real($0) } ?? .null }
    public init(_ value: String?) { self = value.map { .text($0) } ?? .null }
    public init(_ value: Bool) { self = .integer(value ? 1 : 0) }
}

/// One statement with its values. The text names them `$1`, `$2`, … in both engines; it is prepared
/// once per connection, so it must come from a fixed set of texts.
public struct SQLCommand: Sendable, Equatable {
    public var text: String
    public var values: [SQLValue]

    public init(_ text: String, _ values: [SQLValue] = []) {
        self.text = text
        self.values = values
    }
}

/// One row of a result, read by column name. A name that is not there is a defect of the statement.
public struct SQLRow: Sendable, Equatable {
    private let columns: [String]
    private let values: [SQLValue]

    public init(columns: [String], values: [SQLValue]) {
        precondition(columns.count == values.count, "a row has one value for each column")
        self.columns = columns
        self.values = values
    }

    public subscript(column: String) -> SQLValue {
        guard let index = columns.firstIndex(of: column) else {
            preconditionFailure("the statement returns no column \(column)")
        }
        return values[index]
    }

    public func text(_ column: String) -> String? {
        switch self[column] {
        case .null: nil
        case .text(let text): text
        case .integer(let number): String(number)
        case .real(let number): String(number)
        }
    }

    /// A fraction is cut off; what is no number reads as nil.
    public func integer(_ column: String) -> Int64? {
        switch self[column] {
        case .null: nil
        case .integer(let number): number
        case .real(let number): Int64(exactly: number.rounded(.towardZero))
        case .text(let text): Int64(text)
        }
    }

    public func int(_ column: String) -> Int? { integer(column).map { Int($0) } }

    public func real(_ column: String) -> Double? {
        switch self[column] {
        case .null: nil
        case .integer(let number): Double(number)
        case .real(let number): number
        case .text(let text): Double(text)
        }
    }

    public func flag(_ column: String) -> Bool? { integer(column).map { $0 != 0 } }
}

public struct SQLResult: Sendable, Equatable {
    public var rows: [SQLRow]
    /// Rows inserted, updated or deleted; 0 for a query.
    public var affected: Int

    public init(rows: [SQLRow] = [], affected: Int = 0) {
        self.rows = rows
        self.affected = affected
    }
}
