import OmniCore
import OmniIO

/// One row that must not get lost: the values of a statement that may be repeated.
struct HistoryRow: Sendable, Equatable {
    enum Kind: String, Sendable { case flow, audit }

    let kind: Kind
    let values: [SQLValue]
    /// The request it tells of; a row that was on disk has forgotten it.
    let trace: TraceContext?

    init(_ kind: Kind, _ values: [SQLValue], trace: TraceContext? = nil) {
        self.kind = kind
        self.values = values
        self.trace = trace
    }

    init(_ flow: Flow) {
        self.init(
            .flow,
            [
                .text(flow.id.text), SQLValue(flow.user), SQLValue(flow.conversation?.text),
                .text(String(decoding: FlowText.document(flow), as: UTF8.self)),
                .text(flow.source.rawValue), .integer(Int64(flow.began)),
                SQLValue(flow.ended.map { Int64($0) }),
            ], trace: flow.trace)
    }

    // MARK: On disk

    /// One line: a JSON array that begins with the kind.
    var line: [UInt8] {
        let values = values.map { value -> JSONValue in
            switch value {
            case .null: .null
            case .integer(let number): .int(number)
            case .real(let number): .double(number)
            case .text(let text): .string(text)
            }
        }
        return JSONValue.array([.string(kind.rawValue)] + values).bytes + [UInt8(ascii: "\n")]
    }

    /// Nil for a line that was cut off when the host went down.
    init?(line: [UInt8]) {
        guard let elements = (try? JSONValue(parsing: line))?.array,
            let kind = elements.first?.string.flatMap(Kind.init)
        else { return nil }
        self.init(
            kind,
            elements.dropFirst().map { value in
                switch value {
                case .int(let number): .integer(number)
                case .double(let number): .real(number)
                case .string(let text): .text(text)
                default: .null
                }
            })
    }
}
