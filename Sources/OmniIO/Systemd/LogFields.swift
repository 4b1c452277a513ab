internal import OmniCore

/// What a record says besides its sentence: ordered names and values.
///
///     ["mcp": name, "max_size": 1000, "ttl": .seconds(300), "token": token]
///
/// A name is written in lower case and becomes a journal field in upper case: `mcp` → `MCP=`,
/// `request_id` → `REQUEST_ID=`. On a terminal it stays as written. Secrets mask themselves by type.
public struct LogFields: Sendable, ExpressibleByDictionaryLiteral {
    public private(set) var pairs: [Pair]

    public struct Pair: Sendable, Equatable {
        public let name: String
        public let value: String
    }

    public init() { pairs = [] }

    public init(dictionaryLiteral elements: (String, any LogValue)...) {
        pairs = elements.map { Pair(name: $0.0, value: $0.1.logText) }
    }

    public var isEmpty: Bool { pairs.isEmpty }

    public subscript(name: String) -> String? { pairs.last { $0.name == name }?.value }

    public mutating func append(_ name: String, _ value: any LogValue) {
        pairs.append(Pair(name: name, value: value.logText))
    }

    /// Which request the record is about, where the record does not say so itself.
    mutating func append(_ request: RequestContext) {
        if self["request_id"] == nil { append("request_id", request.requestID) }
        guard let trace = request.trace, self["trace_id"] == nil else { return }
        append("trace_id", trace.traceID.text)
        if trace.spanID != 0 { append("span_id", trace.spanText) }
    }

    public func appending(_ other: LogFields) -> LogFields {
        if other.isEmpty { return self }
        var result = self
        result.pairs += other.pairs
        return result
    }
}

/// What may stand in a log field. The text is made only for records that are kept.
public protocol LogValue {
    var logText: String { get }
}

extension String: LogValue { public var logText: String { self } }
extension Substring: LogValue { public var logText: String { String(self) } }
extension Bool: LogValue { public var logText: String { self ? "yes" : "no" } }
extension Int: LogValue { public var logText: String { description } }
extension Int32: LogValue { public var logText: String { description } }
extension Int64: LogValue { public var logText: String { description } }
extension UInt8: LogValue { public var logText: String { description } }
extension UInt16: LogValue { public var logText: String { description } }
extension UInt32: LogValue { public var logText: String { description } }
extension UInt64: LogValue { public var logText: String { description } }
extension Double: LogValue { public var logText: String { description } }
extension Secret: LogValue { public var logText: String { Secret.mask } }
extension SystemError: LogValue { public var logText: String { description } }
extension Optional: LogValue where Wrapped: LogValue {
    public var logText: String { self?.logText ?? "none" }
}
extension Array: LogValue where Element: LogValue {
    public var logText: String { map(\.logText).joined(separator: ",") }
}

/// Seconds with up to milliseconds: `300`, `1.5`, `0.004`.
extension Duration: LogValue {
    public var logText: String {
        let (seconds, attoseconds) = components
        let thousandths = attoseconds / 1_000_000_000_000_000
        if thousandths == 0 { return "\(seconds)" }
        let sign = seconds < 0 || thousandths < 0 ? "-" : ""
        var digits = String(thousandths.magnitude + 1000).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(sign)\(seconds.magnitude).\(digits)"
    }
}
