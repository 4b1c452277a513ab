/// One thing that happened, said by one service: a sentence, who says it, and fields to search by.
///
/// The same record is written in two ways: as a datagram of the journal's native protocol, and as
/// a line for a person at a terminal.
public struct JournalRecord: Sendable {
    public var level: LogLevel
    public var service: Service
    public var message: String
    /// Set on every event that an operator acts on; `journalctl -x` explains it.
    public var id: MessageID?
    public var fields: LogFields
    public var file: StaticString
    public var line: UInt

    public init(
        level: LogLevel, service: Service, message: String, id: MessageID? = nil,
        fields: LogFields = [:], file: StaticString = #fileID, line: UInt = #line
    ) {
        self.level = level
        self.service = service
        self.message = message
        self.id = id
        self.fields = fields
        self.file = file
        self.line = line
    }

    /// Appends the record as one datagram of the native protocol: `NAME=value` lines, and for
    /// values with line breaks `NAME`, a 64-bit little-endian length, the bytes.
    public func encode(into bytes: inout [UInt8]) {
        Self.append("MESSAGE", message, to: &bytes)
        Self.append("PRIORITY", String(level.rawValue), to: &bytes)
        Self.append("SERVICE", service.rawValue, to: &bytes)
        Self.append("SYSLOG_IDENTIFIER", Self.identifier, to: &bytes)
        if let id { Self.append("MESSAGE_ID", id.rawValue, to: &bytes) }
        Self.append("CODE_FILE", file.description, to: &bytes)
        Self.append("CODE_LINE", String(line), to: &bytes)
        for pair in fields.pairs {
            Self.append(Self.fieldName(pair.name), pair.value, to: &bytes)
        }
    }

    /// `2026-01-28 19:22:44 [info] Tool Cache started service=Cache max_size=1000 ttl=300`
    public func line(at time: String) -> String {
        var text = "\(time) [\(level.name)] \(Self.oneLine(message)) service=\(service.rawValue)"
        for pair in fields.pairs {
            text += " \(pair.name)=\(Self.quotedIfNeeded(pair.value))"
        }
        return text
    }

    public static let identifier = "omni2-native"
    /// A longer value is cut: nobody reads it, and the journal's own ceiling is near.
    static let valueBytesMax = 8 << 20

    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        var value = value
        if value.utf8.count > valueBytesMax {
            value = String(decoding: value.utf8.prefix(valueBytesMax), as: UTF8.self)
        }
        bytes.append(contentsOf: name.utf8)
        if value.utf8.contains(UInt8(ascii: "\n")) {
            bytes.append(UInt8(ascii: "\n"))
            var count = UInt64(value.utf8.count)
            for _ in 0..<8 {
                bytes.append(UInt8(truncatingIfNeeded: count))
                count >>= 8
            }
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes.append(contentsOf: value.utf8)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// What journald accepts: A–Z, 0–9 and `_`, no digit or `_` first, at most 64 bytes. A name that
    /// would overwrite one of the record's own fields gets the prefix `FIELD_`.
    static func fieldName(_ name: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(name.utf8.count)
        for byte in name.utf8.prefix(58) {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): bytes.append(byte - 32)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                bytes.append(byte)
            default: bytes.append(UInt8(ascii: "_"))
            }
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let first = bytes.first, first >= UInt8(ascii: "A"), first <= UInt8(ascii: "Z"),
            !ownFields.contains(text)
        else { return "FIELD_" + text }
        return text
    }

    private static let ownFields: Set<String> = [
        "MESSAGE", "PRIORITY", "SERVICE", "SYSLOG_IDENTIFIER", "MESSAGE_ID", "CODE_FILE",
        "CODE_LINE",
    ]

    private static func quotedIfNeeded(_ value: String) -> String {
        let needsQuotes =
            value.isEmpty
            || value.utf8.contains { $0 <= 0x20 || $0 == UInt8(ascii: "\"") || $0 == 0x7F }
        return needsQuotes ? "\"\(oneLine(value).replacingQuotes)\"" : value
    }

    /// A line stays a line, and a terminal is not steered by what a server sent us.
    private static func oneLine(_ text: String) -> String {
        if !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                result += "\\x" + (scalar.value < 16 ? "0" : "")
                result += String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension String {
    fileprivate var replacingQuotes: String {
        var result = ""
        for character in unicodeScalars {
            if character == "\"" { result += "\\" }
            result.unicodeScalars.append(character)
        }
        return result
    }
}
