/// One journal record on its way to a collector.
public struct LogExport: Sendable {
    public let nanosecondsSince1970: UInt64
    /// 1…24, as OpenTelemetry counts them; 9 is information, 17 an error.
    public let severity: Int64
    public let severityName: String
    public let message: String
    public let attributes: [OTLP.Attribute]
    public let trace: TraceContext?

    public init(
        nanosecondsSince1970: UInt64, severity: Int64, severityName: String, message: String,
        attributes: [OTLP.Attribute], trace: TraceContext?
    ) {
        self.nanosecondsSince1970 = nanosecondsSince1970
        self.severity = severity
        self.severityName = severityName
        self.message = message
        self.attributes = attributes
        self.trace = trace
    }

    /// `LogRecord`, field numbers as published.
    func write(into writer: inout ProtobufWriter) {
        writer.fixed64(1, nanosecondsSince1970)
        writer.number(2, severity)
        writer.text(3, severityName)
        writer.message(5) { $0.text(1, message) }
        OTLP.write(attributes, field: 6, into: &writer)
        if let trace {
            writer.fixed32(8, UInt32(trace.flags))
            writer.identifier(9, trace.traceID.high, trace.traceID.low)
            writer.identifier(10, trace.spanID)
        }
        writer.fixed64(11, nanosecondsSince1970)
    }
}
