/// Writes JSON into a byte array and keeps the commas.
///
/// ```swift
/// var json = JSONWriter()
/// json.object { json in
///     json.member("status", "healthy")
///     json.member("tools") { $0.array { $0.value(1) } }
/// }
/// let bytes = json.take()
/// ```
///
/// Brackets must balance and every name needs a value; `take` traps otherwise, because a half
/// written text is a bug of the caller and never an input error.
public struct JSONWriter: Sendable {
    public private(set) var bytes: [UInt8]
    private var depth = 0
    private var needsComma = false

    /// Starts with an empty buffer, or goes on at the end of `buffer` (to reuse its storage).
    public init(_ buffer: consuming [UInt8] = []) {
        bytes = buffer
    }

    public init(reserving bytesExpected: Int) {
        bytes = []
        bytes.reserveCapacity(bytesExpected)
    }

    /// The finished text; the writer is empty afterwards.
    public mutating func take() -> [UInt8] {
        precondition(depth == 0, "every object and array is closed before the text is taken")
        defer {
            bytes = []
            needsComma = false
        }
        return bytes
    }

    // MARK: Containers

    public mutating func beginObject() { open(UInt8(ascii: "{")) }
    public mutating func endObject() { close(UInt8(ascii: "}")) }
    public mutating func beginArray() { open(UInt8(ascii: "[")) }
    public mutating func endArray() { close(UInt8(ascii: "]")) }

    public mutating func object(_ body: (inout JSONWriter) -> Void) {
        beginObject()
        body(&self)
        endObject()
    }

    public mutating func array(_ body: (inout JSONWriter) -> Void) {
        beginArray()
        body(&self)
        endArray()
    }

    // MARK: Names

    public mutating func name(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(name)
        bytes.append("\":")
        needsComma = false
    }

    /// A name that is only known while running; it is escaped.
    public mutating func name(text name: String) {
        separate()
        JSONText.appendQuoted(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    // MARK: Values

    public mutating func value(_ text: String) {
        write { JSONText.appendQuoted(text, to: &$0) }
    }

    public mutating func value(_ number: Int64) {
        write { JSONNumber.append(number, to: &$0) }
    }

    public mutating func value(_ number: Int) { value(Int64(number)) }

    public mutating func value(_ number: UInt64) {
        write { JSONNumber.append(number, to: &$0) }
    }

    /// JSON has no infinities and no NaN; they are written as null.
    public mutating func value(_ number: Double) {
        write { JSONNumber.append(number, to: &$0) }
    }

    public mutating func value(_ flag: Bool) {
        write { $0.append(flag ? "true" : "false") }
    }

    public mutating func null() {
        write { $0.append("null") }
    }

    /// A string from well-formed UTF-8.
    public mutating func value(utf8 text: RawSpan) {
        write { JSONText.appendQuoted(text, to: &$0) }
    }

    public mutating func value(_ value: JSONValue) {
        write { value.append(to: &$0) }
    }

    /// A finished JSON value, passed through unchanged.
    public mutating func raw(_ json: [UInt8]) {
        write { $0.append(contentsOf: json) }
    }

    /// A finished JSON value out of another buffer, passed through unchanged.
    public mutating func raw(_ value: ByteRange, of source: RawSpan) {
        write { $0.append(value, of: source) }
    }

    /// A finished value, which `body` appends.
    @inline(__always)
    mutating func write(_ body: (inout [UInt8]) -> Void) {
        separate()
        body(&bytes)
        needsComma = true
    }

    /// A fixed JSON value, passed through unchanged.
    public mutating func raw(_ json: StaticString) {
        write { $0.append(json) }
    }

    // MARK: Members

    public mutating func member(_ name: StaticString, _ text: String) {
        self.name(name)
        value(text)
    }

    public mutating func member(_ name: StaticString, _ number: Int) {
        self.name(name)
        value(number)
    }

    public mutating func member(_ name: StaticString, _ number: Int64) {
        self.name(name)
        value(number)
    }

    public mutating func member(_ name: StaticString, _ number: UInt64) {
        self.name(name)
        value(number)
    }

    public mutating func member(_ name: StaticString, _ number: Double) {
        self.name(name)
        value(number)
    }

    public mutating func member(_ name: StaticString, _ flag: Bool) {
        self.name(name)
        value(flag)
    }

    /// null when there is no text.
    public mutating func member(_ name: StaticString, orNull text: String?) {
        self.name(name)
        if let text { value(text) } else { null() }
    }

    /// null when there is no number.
    public mutating func member(_ name: StaticString, orNull number: Int64?) {
        self.name(name)
        if let number { value(number) } else { null() }
    }

    /// No member at all when there is no text.
    public mutating func member(_ name: StaticString, ifPresent text: String?) {
        if let text { member(name, text) }
    }

    public mutating func member(_ name: StaticString, _ value: JSONValue) {
        self.name(name)
        self.value(value)
    }

    /// Finished members, with the commas between them and without the braces around them.
    public mutating func members(raw members: [UInt8]) {
        if members.isEmpty { return }
        raw(members)
    }

    public mutating func member(_ name: StaticString, raw json: [UInt8]) {
        self.name(name)
        raw(json)
    }

    public mutating func member(_ name: StaticString, raw value: ByteRange, of source: RawSpan) {
        self.name(name)
        raw(value, of: source)
    }

    public mutating func member(_ name: StaticString, _ texts: [String]) {
        self.name(name)
        beginArray()
        for text in texts { value(text) }
        endArray()
    }

    /// A member whose value the body writes: exactly one.
    public mutating func member(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        self.name(name)
        body(&self)
    }

    public mutating func memberObject(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        self.name(name)
        object(body)
    }

    public mutating func memberArray(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        self.name(name)
        array(body)
    }

    // MARK: Commas

    @inline(__always)
    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        depth += 1
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        precondition(depth > 0, "no more ends than beginnings")
        bytes.append(bracket)
        depth -= 1
        needsComma = true
    }
}
