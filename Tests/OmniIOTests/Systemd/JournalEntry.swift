/// A datagram of the journal's native protocol, read the way journald reads it.
struct JournalEntry {
    private(set) var fields: [(name: String, value: String)] = []
    /// False where the bytes are not the protocol.
    private(set) var isWellFormed = true

    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    init(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let newline = rest.firstIndex(of: UInt8(ascii: "\n")) else {
                isWellFormed = false
                return
            }
            let line = rest[..<newline]
            rest = rest[(newline + 1)...]
            if let equals = line.firstIndex(of: UInt8(ascii: "=")) {
                add(line[..<equals], line[(equals + 1)...])
                continue
            }
            guard rest.count >= 8 else {
                isWellFormed = false
                return
            }
            let count = rest.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(8)
            guard rest.count > count, rest[rest.startIndex + count] == UInt8(ascii: "\n") else {
                isWellFormed = false
                return
            }
            add(line, rest.prefix(count))
            rest = rest.dropFirst(count + 1)
        }
    }

    private mutating func add(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
        fields.append(
            (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
    }
}
