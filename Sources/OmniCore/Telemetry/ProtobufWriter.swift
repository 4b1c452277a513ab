/// Writes Protocol Buffers' wire format: as much of it as OTLP's messages need.
///
/// Members are written in any order, nested messages in place: their length is put in front when
/// they end.
public struct ProtobufWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init(reserving count: Int = 0) { bytes.reserveCapacity(count) }

    public mutating func message(_ field: Int, _ body: (inout ProtobufWriter) -> Void) {
        tag(field, 2)
        let start = bytes.count
        bytes.append(0)
        body(&self)
        let length = bytes.count - start - 1
        // Most are short: their length fits into the byte that was left for it.
        if length < 0x80 {
            bytes[start] = UInt8(length)
            return
        }
        var prefix: [UInt8] = []
        Self.varint(UInt64(length), to: &prefix)
        bytes.replaceSubrange(start...start, with: prefix)
    }

    public mutating func text(_ field: Int, _ value: String) {
        if !value.isEmpty { present(field, value) }
    }

    /// Also an empty one: inside a `oneof` it says which member is set.
    public mutating func present(_ field: Int, _ value: String) {
        tag(field, 2)
        Self.varint(UInt64(value.utf8.count), to: &bytes)
        bytes.append(contentsOf: value.utf8)
    }

    /// Numbers as one run of big-endian bytes, as identifiers travel.
    public mutating func identifier(_ field: Int, _ parts: UInt64...) {
        tag(field, 2)
        Self.varint(UInt64(parts.count * 8), to: &bytes)
        for part in parts {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: part >> UInt64(shift)))
            }
        }
    }

    /// 0 is written too: inside a `oneof` it says which member is set.
    public mutating func number(_ field: Int, _ value: Int64) {
        tag(field, 0)
        Self.varint(UInt64(bitPattern: value), to: &bytes)
    }

    public mutating func truth(_ field: Int, _ value: Bool) { number(field, value ? 1 : 0) }

    public mutating func fixed64(_ field: Int, _ value: UInt64) {
        tag(field, 1)
        append(littleEndian: value)
    }

    public mutating func fixed32(_ field: Int, _ value: UInt32) {
        tag(field, 5)
        for shift in stride(from: 0, to: 32, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift)))
        }
    }

    public mutating func double(_ field: Int, _ value: Double) { fixed64(field, value.bitPattern) }

    public mutating func packed(_ field: Int, fixed64 values: [UInt64]) {
        tag(field, 2)
        Self.varint(UInt64(values.count * 8), to: &bytes)
        for value in values { append(littleEndian: value) }
    }

    /// Members that were written elsewhere.
    public mutating func raw(_ members: [UInt8]) { bytes += members }

    private mutating func append(littleEndian value: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }

    private mutating func tag(_ field: Int, _ type: UInt64) {
        Self.varint(UInt64(field) << 3 | type, to: &bytes)
    }

    private static func varint(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
