/// One step of a trace: what OpenTelemetry calls a span.
///
/// Its attributes are kept as they travel, so that a recorded step costs one buffer and ending it a
/// copy into the batch.
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

    public let context: TraceContext
    /// 0: the root of its trace.
    public let parentID: UInt64
    public var name: String
    public let kind: Kind
    /// Nanoseconds since 1970.
    public let start: UInt64
    public var end: UInt64 = 0
    public var status = Status.unset
    /// `Span.attributes`, one behind the other.
    private var attributes = ProtobufWriter(reserving: 224)

    public init(
        _ context: TraceContext, parentID: UInt64, name: String, kind: Kind, start: UInt64
    ) {
        self.context = context
        self.parentID = parentID
        self.name = name
        self.kind = kind
        self.start = start
    }

    public mutating func set(_ name: StaticString, _ value: String) {
        attributes.keyValue(9, name, value)
    }

    public mutating func set(_ name: StaticString, _ value: Int) {
        attributes.keyValue(9, name, value)
    }

    public mutating func set(_ name: StaticString, _ value: Bool) {
        attributes.keyValue(9, name, value)
    }

    /// `Span`, field numbers as published.
    borrowing func write(into writer: inout ProtobufWriter) {
        writer.identifier(1, context.traceID.high, context.traceID.low)
        writer.identifier(2, context.spanID)
        writer.text(3, context.state)
        if parentID != 0 { writer.identifier(4, parentID) }
        writer.text(5, name)
        writer.number(6, kind.rawValue)
        writer.fixed64(7, start)
        writer.fixed64(8, end)
        writer.raw(attributes)
        if case .failed(let message) = status {
            writer.message(15) { writer in
                writer.text(2, message)
                writer.number(3, 2)
            }
        }
        writer.fixed32(16, UInt32(context.flags))
    }
}

/// Spans that have ended, written as an export carries them.
public struct SpanBatch: Sendable {
    public private(set) var count = 0
    /// `ScopeSpans.spans`, one behind the other.
    private(set) var members: ProtobufWriter

    public init(reserving bytes: Int = 0) { members = ProtobufWriter(reserving: bytes) }

    public var byteCount: Int { members.bytes.count }

    public mutating func append(_ span: borrowing SpanRecord) {
        count += 1
        let message = members.open(2, expecting: 300)
        span.write(into: &members)
        members.close(message)
    }
}
