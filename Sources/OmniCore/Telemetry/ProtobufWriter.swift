/// Writes Protocol Buffers' wire format: as much of it as OTLP's messages need.
///
/// Members are written in any order, nested messages in place: their length is put in front when
/// they end.
public struct ProtobufWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init(reserving count: Int = 0) { bytes.reserveCapacity(count) }

    /// `expecting`: about so many bytes. What is far from it is moved once to make room for its length.
    public mutating func message(
        _ field: Int, expecting length: Int = 0, _ body: (inout ProtobufWriter) -> Void
    ) {
        let message = open(field, expecting: length)
        body(&self)
        close(message)
    }

    /// A message that has been opened and not closed.
    struct Open {
        fileprivate let place: Int
        fileprivate let room: Int
    }

    mutating func open(_ field: Int, expecting length: Int) -> Open {
        tag(field, 2)
        let message = Open(place: bytes.count, room: Self.varintSize(length))
        for _ in 0..<message.room { bytes.append(0) }
        return message
    }

    mutating func close(_ message: Open) {
        let place = message.place
        var rest = bytes.count - place - message.room
        let needed = Self.varintSize(rest)
        if needed != message.room {
            bytes.replaceSubrange(
                place..<(place + message.room), with: repeatElement(0, count: needed))
        }
        for index in place..<(place + needed) {
            bytes[index] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
        }
        bytes[place + needed - 1] &= 0x7F
    }

    public mutating func text(_ field: Int, _ value: String) {
        if !value.isEmpty { present(field, value) }
    }

    /// Also an empty one: inside a `oneof` it says which member is set.
    public mutating func present(_ field: Int, _ value: String) {
        tag(field, 2)
        varint(UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    /// A number as a run of big-endian bytes, as identifiers travel.
    public mutating func identifier(_ field: Int, _ value: UInt64) {
        tag(field, 2)
        bytes.append(8)
        append(value.bigEndian)
    }

    public mutating func identifier(_ field: Int, _ high: UInt64, _ low: UInt64) {
        tag(field, 2)
        bytes.append(16)
        append(high.bigEndian)
        append(low.bigEndian)
    }

    /// 0 is written too: inside a `oneof` it says which member is set.
    public mutating func number(_ field: Int, _ value: Int64) {
        tag(field, 0)
        varint(UInt64(bitPattern: value))
    }

    public mutating func truth(_ field: Int, _ value: Bool) { number(field, value ? 1 : 0) }

    public mutating func fixed64(_ field: Int, _ value: UInt64) {
        tag(field, 1)
        append(value.littleEndian)
    }

    public mutating func fixed32(_ field: Int, _ value: UInt32) {
        tag(field, 5)
        append(value.littleEndian)
    }

    public mutating func double(_ field: Int, _ value: Double) { fixed64(field, value.bitPattern) }

    public mutating func packed(_ field: Int, fixed64 values: [UInt64]) {
        tag(field, 2)
        varint(UInt64(values.count * 8))
        for value in values { append(value.littleEndian) }
    }

    /// Members that were written elsewhere.
    public mutating func raw(_ members: ProtobufWriter) { bytes += members.bytes }

    // MARK: KeyValue

    /// OTLP's `KeyValue` with an `AnyValue` inside, without moving anything: on the path of requests.
    public mutating func keyValue(_ field: Int, _ name: StaticString, _ value: String) {
        let count = value.utf8.count
        key(field, name, valueSize: 1 + Self.varintSize(count) + count)
        present(1, value)
    }

    public mutating func keyValue(_ field: Int, _ name: StaticString, _ value: Bool) {
        key(field, name, valueSize: 2)
        truth(2, value)
    }

    public mutating func keyValue(_ field: Int, _ name: StaticString, _ value: Int) {
        key(field, name, valueSize: 1 + Self.varintSize(value))
        number(3, Int64(value))
    }

    private mutating func key(_ field: Int, _ name: StaticString, valueSize: Int) {
        let count = name.utf8CodeUnitCount
        tag(field, 2)
        varint(
            UInt64(
                1 + Self.varintSize(count) + count + 1 + Self.varintSize(valueSize) + valueSize))
        tag(1, 2)
        varint(UInt64(count))
        name.withUTF8Buffer { text in unsafe bytes.append(contentsOf: text) }
        tag(2, 2)
        varint(UInt64(valueSize))
    }

    // MARK: Bytes

    private mutating func append(_ value: some FixedWidthInteger) {
        unsafe withUnsafeBytes(of: value) { number in
            unsafe bytes.append(contentsOf: number)
        }
    }

    private mutating func tag(_ field: Int, _ type: UInt64) { varint(UInt64(field) << 3 | type) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Bytes that the number takes; a negative one takes ten.
    private static func varintSize(_ value: Int) -> Int {
        let bits = UInt64.bitWidth - UInt64(bitPattern: Int64(value)).leadingZeroBitCount
        return max(1, (bits + 6) / 7)
    }
}
