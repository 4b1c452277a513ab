/// OTLP's export requests, protobuf encoded (opentelemetry-proto 1.x).
///
/// Field numbers stand beside each member as the published definitions have them; a test decodes
/// what is written here with those definitions.
public enum OTLP {
    /// A `KeyValue` whose value is text.
    public struct Attribute: Sendable, Equatable {
        public let name: String
        public let value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Who says it: `service.name` and its like.
    public struct Resource: Sendable {
        public let attributes: [Attribute]
        public let scopeVersion: String

        public init(attributes: [Attribute], scopeVersion: String) {
            self.attributes = attributes
            self.scopeVersion = scopeVersion
        }
    }

    /// `ExportTraceServiceRequest`.
    public static func traces(_ spans: SpanBatch, of resource: Resource) -> [UInt8] {
        request(spans.members, of: resource)
    }

    /// `ExportLogsServiceRequest`.
    public static func logs(_ records: [LogExport], of resource: Resource) -> [UInt8] {
        var members = ProtobufWriter(reserving: records.count * 300)
        for record in records { members.message(2) { record.write(into: &$0) } }
        return request(members, of: resource)
    }

    /// Resource, scope, and its `items`: the same shape for all signals.
    static func request(_ items: ProtobufWriter, of resource: Resource) -> [UInt8] {
        let size = items.bytes.count
        var writer = ProtobufWriter(reserving: size + 1024)
        writer.message(1, expecting: size) { writer in
            writer.message(1) { write(resource.attributes, field: 1, into: &$0) }
            writer.message(2, expecting: size) { writer in
                writer.message(1) { scope in
                    scope.text(1, "omni2-native")
                    scope.text(2, resource.scopeVersion)
                }
                writer.raw(items)
            }
        }
        return writer.bytes
    }

    static func write(_ attributes: [Attribute], field: Int, into writer: inout ProtobufWriter) {
        for attribute in attributes {
            writer.message(field) { writer in
                writer.text(1, attribute.name)
                writer.message(2) { $0.present(1, attribute.value) }
            }
        }
    }
}
