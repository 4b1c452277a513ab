/// Appends values in the form that `StateReader` takes them out again: numbers in little endian,
/// texts and byte strings behind their length. No names, no types: both sides know the order.
public struct StateWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func clear() { bytes.removeAll(keepingCapacity: true) }

    public mutating func put(_ value: UInt8) { bytes.append(value) }
    public mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

    public mutating func put(_ value: UInt32) {
        bytes.append(UInt8(truncatingIfNeeded: value))
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value >> 16))
        bytes.append(UInt8(truncatingIfNeeded: value >> 24))
    }

    public mutating func put(_ value: UInt64) {
        put(UInt32(truncatingIfNeeded: value))
        put(UInt32(truncatingIfNeeded: value >> 32))
    }

    public mutating func put(count: Int) { put(UInt32(clamping: count)) }

    public mutating func put(_ value: [UInt8]) {
        put(count: value.count)
        bytes += value
    }

    public mutating func put(_ value: String) {
        put(count: value.utf8.count)
        for byte in value.utf8 { bytes.append(byte) }
    }

    /// A byte says whether there is one.
    public mutating func put<Value>(
        _ value: Value?, _ write: (inout StateWriter, Value) -> Void
    ) {
        put(value != nil)
        if let value { write(&self, value) }
    }

    public mutating func put(_ value: String?) {
        put(value != nil)
        if let value { put(value) }
    }

    public mutating func put<Value>(
        all values: [Value], _ write: (inout StateWriter, Value) -> Void
    ) {
        put(count: values.count)
        for value in values { write(&self, value) }
    }
}

/// Why a state could not be read.
public enum StateError: Error, Hashable, Sendable {
    /// It ends inside of a value.
    case truncated
    /// A value that nobody writes.
    case invalid
}

/// Takes out what a `StateWriter` put in. Every length is checked before anything is taken.
public struct StateReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    public init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    public var isAtEnd: Bool { position == bytes.endIndex }

    private mutating func take(_ count: Int) throws(StateError) -> ArraySlice<UInt8> {
        guard count <= bytes.endIndex - position else { throw .truncated }
        defer { position += count }
        return bytes[position..<position + count]
    }

    public mutating func byte() throws(StateError) -> UInt8 {
        guard position < bytes.endIndex else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    public mutating func bool() throws(StateError) -> Bool {
        switch try byte() {
        case 0: false
        case 1: true
        default: throw .invalid
        }
    }

    public mutating func word() throws(StateError) -> UInt32 {
        var value: UInt32 = 0
        for byte in try take(4).reversed() { value = value << 8 | UInt32(byte) }
        return value
    }

    public mutating func long() throws(StateError) -> UInt64 {
        let low = try word()
        return UInt64(try word()) << 32 | UInt64(low)
    }

    public mutating func array() throws(StateError) -> [UInt8] {
        let count = Int(try word())
        return Array(try take(count))
    }

    public mutating func string() throws(StateError) -> String {
        let count = Int(try word())
        guard let text = String(validating: try take(count), as: UTF8.self) else {
            throw .invalid
        }
        return text
    }

    public mutating func optional<Value>(
        _ read: (inout StateReader) throws(StateError) -> Value
    ) throws(StateError) -> Value? {
        try bool() ? try read(&self) : nil
    }

    public mutating func text() throws(StateError) -> String? {
        try optional { reader throws(StateError) in try reader.string() }
    }

    /// A list is as long as its elements are there: the count alone reserves nothing.
    public mutating func list<Value>(
        _ read: (inout StateReader) throws(StateError) -> Value
    ) throws(StateError) -> [Value] {
        var values: [Value] = []
        for _ in 0..<(try word()) { values.append(try read(&self)) }
        return values
    }
}

/// CRC-32 (ISO-HDLC, as in zip and Ethernet) of what another process left for us.
public enum Checksum {
    private static let table: [UInt32] = (0..<256).map { (index: UInt32) -> UInt32 in
        (0..<8).reduce(index) { value, _ in value & 1 == 0 ? value >> 1 : 0xEDB8_8320 ^ value >> 1 }
    }

    public static func of(_ bytes: RawSpan) -> UInt32 {
        var value = UInt32.max
        for offset in 0..<bytes.byteCount {
            value = table[Int(UInt8(truncatingIfNeeded: value) ^ bytes[offset])] ^ value >> 8
        }
        return ~value
    }

    public static func of(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        unsafe of(bytes.span.bytes)
    }

    public static func of(_ bytes: [UInt8]) -> UInt32 { unsafe of(bytes.span.bytes) }
}
