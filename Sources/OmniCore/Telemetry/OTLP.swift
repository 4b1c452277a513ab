/// OTLP's export requests, protobuf encoded (opentelemetry-proto 1.x).
///
/// Field numbers stand beside each member as the published definitions have them; a test decodes
/// what is written here with those definitions.
public enum OTLP {
    /// Who says it: `service.name` and its like.
    public struct Resource: Sendable {
        public let attributes: [SpanRecord.Attribute]
        public let scopeVersion: String

        public init(attributes: [SpanRecord.Attribute], scopeVersion: String) {
            self.attributes = attributes
            self.scopeVersion = scopeVersion
        }
    }

    /// `ExportTraceServiceRequest`.
    public static func traces(_ spans: [SpanRecord], of resource: Resource) -> [UInt8] {
        var writer = ProtobufWriter(reserving: spans.count * 400)
        envelope(resource, into: &writer) { writer in
            for span in spans { writer.message(2) { write(span, into: &$0) } }
        }
        return writer.bytes
    }

    /// `ExportLogsServiceRequest`.
    public static func logs(_ records: [LogExport], of resource: Resource) -> [UInt8] {
        var writer = ProtobufWriter(reserving: records.count * 300)
        envelope(resource, into: &writer) { writer in
            for record in records { writer.message(2) { write(record, into: &$0) } }
        }
        return writer.bytes
    }

    /// Resource, scope, and what `items` writes into the scope: the same shape for all signals.
    static func envelope(
        _ resource: Resource, into writer: inout ProtobufWriter,
        items: (inout ProtobufWriter) -> Void
    ) {
        writer.message(1) { writer in
            writer.message(1) { write(resource.attributes, field: 1, into: &$0) }
            writer.message(2) { writer in
                writer.message(1) { scope in
                    scope.text(1, "omni2-native")
                    scope.text(2, resource.scopeVersion)
                }
                items(&writer)
            }
        }
    }

    private static func write(_ span: SpanRecord, into writer: inout ProtobufWriter) {
        writer.identifier(1, span.context.traceID.high, span.context.traceID.low)
        writer.identifier(2, span.context.spanID)
        writer.text(3, span.context.state)
        if span.parentID != 0 { writer.identifier(4, span.parentID) }
        writer.text(5, span.name)
        writer.number(6, span.kind.rawValue)
        writer.fixed64(7, span.start)
        writer.fixed64(8, span.end)
        write(span.attributes, field: 9, into: &writer)
        for link in span.links {
            writer.message(13) { writer in
                writer.identifier(1, link.traceID.high, link.traceID.low)
                writer.identifier(2, link.spanID)
            }
        }
        if case .failed(let message) = span.status {
            writer.message(15) { writer in
                writer.text(2, message)
                writer.number(3, 2)
            }
        }
        writer.fixed32(16, UInt32(span.context.flags))
    }

    private static func write(_ record: LogExport, into writer: inout ProtobufWriter) {
        writer.fixed64(1, record.nanosecondsSince1970)
        writer.number(2, record.severity)
        writer.text(3, record.severityName)
        writer.message(5) { $0.text(1, record.message) }
        write(record.attributes, field: 6, into: &writer)
        if let trace = record.trace {
            writer.fixed32(8, UInt32(trace.flags))
            writer.identifier(9, trace.traceID.high, trace.traceID.low)
            writer.identifier(10, trace.spanID)
        }
        writer.fixed64(11, record.nanosecondsSince1970)
    }

    /// Each a `KeyValue`.
    static func write(
        _ attributes: [SpanRecord.Attribute], field: Int, into writer: inout ProtobufWriter
    ) {
        for attribute in attributes {
            writer.message(field) { writer in
                writer.text(1, attribute.name)
                writer.message(2) { value in
                    switch attribute.value {
                    case .text(let text): value.present(1, text)
                    case .truth(let truth): value.truth(2, truth)
                    case .number(let number): value.number(3, number)
                    case .double(let number): value.double(4, number)
                    }
                }
            }
        }
    }
}
