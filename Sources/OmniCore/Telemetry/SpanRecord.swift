/// One step of a trace that has ended: what OpenTelemetry calls a span.
public struct SpanRecord: Sendable {
    public enum Kind: Int64, Sendable {
        case `internal` = 1
        case server = 2
        case client = 3
    }

    public enum Status: Sendable, Equatable {
        case unset
        case failed(String)
    }

    public struct Attribute: Sendable, Equatable {
        public let name: String
        public let value: Value

        public init(_ name: String, _ value: Value) {
            self.name = name
            self.value = value
        }
    }

    public enum Value: Sendable, Equatable, ExpressibleByStringLiteral,
        ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral
    {
        case text(String)
        case number(Int64)
        case truth(Bool)
        case double(Double)

        public init(stringLiteral value: String) { self = .text(value) }
        public init(integerLiteral value: Int64) { self = .number(value) }
        public init(booleanLiteral value: Bool) { self = .truth(value) }
    }

    public let context: TraceContext
    /// 0: the root of its trace.
    public let parentID: UInt64
    public var name: String
    public let kind: Kind
    /// Nanoseconds since 1970.
    public let start: UInt64
    public var end: UInt64 = 0
    public var attributes: [Attribute] = []
    public var status = Status.unset
    /// Other traces this step served, such as those whose rows one write carried.
    public var links: [TraceContext] = []

    public init(
        _ context: TraceContext, parentID: UInt64, name: String, kind: Kind, start: UInt64
    ) {
        self.context = context
        self.parentID = parentID
        self.name = name
        self.kind = kind
        self.start = start
    }
}

/// One journal record on its way to a collector.
public struct LogExport: Sendable {
    public let nanosecondsSince1970: UInt64
    /// 1…24, as OpenTelemetry counts them; 9 is information, 17 an error.
    public let severity: Int64
    public let severityName: String
    public let message: String
    public let attributes: [SpanRecord.Attribute]
    public let trace: TraceContext?

    public init(
        nanosecondsSince1970: UInt64, severity: Int64, severityName: String, message: String,
        attributes: [SpanRecord.Attribute], trace: TraceContext?
    ) {
        self.nanosecondsSince1970 = nanosecondsSince1970
        self.severity = severity
        self.severityName = severityName
        self.message = message
        self.attributes = attributes
        self.trace = trace
    }
}
