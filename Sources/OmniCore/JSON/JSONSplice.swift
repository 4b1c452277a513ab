/// Changes a JSON text by cutting and pasting: results and parameters cross the gateway as the
/// bytes they came in, but for the few members that are ours to change.
///
/// Gather edits, then apply them in one copy. Edits may be nested in nothing but themselves: two
/// edits of the same bytes are a bug of the caller and trap.
public struct JSONSplice: Sendable {
    /// What becomes of one member: set to `json`, or removed when that is nil.
    public struct Change: Sendable {
        public var name: StaticString
        public var json: [UInt8]?

        public init(_ name: StaticString, _ json: [UInt8]?) {
            self.name = name
            self.json = json
        }

        public init(_ name: StaticString, value: JSONValue) {
            self.init(name, value.bytes)
        }

        public static func removal(of name: StaticString) -> Change { Change(name, nil) }
    }

    private struct Edit: Sendable {
        var range: ByteRange
        var text: [UInt8]
    }

    /// By offset; in order of arrival where offsets are equal.
    private var edits: [Edit] = []

    public init() {}

    public var isEmpty: Bool { edits.isEmpty }

    /// Puts `json` in the place of a value.
    public mutating func replace(_ value: ByteRange, with json: [UInt8]) {
        var position = edits.count
        while position > 0, edits[position - 1].range.offset > value.offset { position -= 1 }
        if position > 0 {
            precondition(
                edits[position - 1].range.end <= value.offset, "edits do not overlap")
        }
        if position < edits.count {
            precondition(value.end <= edits[position].range.offset, "edits do not overlap")
        }
        edits.insert(Edit(range: value, text: json), at: position)
    }

    /// Sets and removes members of one object. Call it once per object, with all its changes.
    ///
    /// A name that occurs twice is left once, so that no reader can take the other one. New members
    /// go to the front, where they are found without reading a long result to its end.
    public mutating func edit(
        _ object: ByteRange, in bytes: RawSpan, _ changes: [Change]
    ) {
        precondition(
            JSONScanner.kind(of: object, in: bytes) == .object, "only an object has members")
        var isFound = [Bool](repeating: false, count: changes.count)
        var lastPlace = [Int](repeating: -1, count: changes.count)
        var members: [JSONMember] = []
        var cursor = JSONMembers(of: object, in: bytes)
        while let member = cursor.next(in: bytes) {
            for (index, change) in changes.enumerated() where member.isNamed(change.name, in: bytes)
            {
                lastPlace[index] = members.count
            }
            members.append(member)
        }
        var isRemoved = [Bool](repeating: false, count: members.count)
        for (place, member) in members.enumerated() {
            for (index, change) in changes.enumerated() where member.isNamed(change.name, in: bytes)
            {
                if let json = change.json, lastPlace[index] == place {
                    isFound[index] = true
                    replace(member.value, with: json)
                } else {
                    isRemoved[place] = true
                }
            }
        }
        insert(changes, unless: isFound, into: object, isEmptyOtherwise: !isRemoved.contains(false))
        remove(members, isRemoved, from: object)
    }

    /// Sets members of the `_meta` object of `params` or a result, making it where there is none.
    public mutating func editMeta(
        of object: ByteRange, in bytes: RawSpan, _ changes: [Change]
    ) {
        if let meta = JSONScanner.member("_meta", of: object, in: bytes),
            JSONScanner.kind(of: meta, in: bytes) == .object
        {
            return edit(meta, in: bytes, changes)
        }
        let additions = changes.filter { $0.json != nil }
        if additions.isEmpty { return }
        var meta = JSONWriter()
        meta.object { meta in
            for addition in additions {
                guard let json = addition.json else { continue }
                meta.member(addition.name, raw: json)
            }
        }
        edit(object, in: bytes, [Change("_meta", meta.take())])
    }

    /// Appends the text of `value` with all edits made.
    public func append(_ value: ByteRange, of bytes: RawSpan, to text: inout [UInt8]) {
        text.reserveCapacity(
            text.count + value.count + edits.reduce(0) { $0 + $1.text.count })
        var index = value.offset
        for edit in edits {
            precondition(
                edit.range.offset >= index && edit.range.end <= value.end,
                "edits lie inside the value")
            text.append(ByteRange(offset: index, count: edit.range.offset - index), of: bytes)
            text.append(contentsOf: edit.text)
            index = edit.range.end
        }
        text.append(ByteRange(offset: index, count: value.end - index), of: bytes)
    }

    public func applied(to value: ByteRange, of bytes: RawSpan) -> [UInt8] {
        var text: [UInt8] = []
        append(value, of: bytes, to: &text)
        return text
    }

    private mutating func insert(
        _ changes: [Change], unless isFound: [Bool], into object: ByteRange, isEmptyOtherwise: Bool
    ) {
        var text: [UInt8] = []
        for (index, change) in changes.enumerated() where !isFound[index] {
            guard let json = change.json else { continue }
            if !text.isEmpty { text.append(UInt8(ascii: ",")) }
            text.append(UInt8(ascii: "\""))
            text.append(change.name)
            text.append("\":")
            text.append(contentsOf: json)
        }
        if text.isEmpty { return }
        if !isEmptyOtherwise { text.append(UInt8(ascii: ",")) }
        replace(ByteRange(offset: object.offset + 1, count: 0), with: text)
    }

    /// Cuts each run of removed members together with exactly one of the commas around it.
    private mutating func remove(
        _ members: [JSONMember], _ isRemoved: [Bool], from object: ByteRange
    ) {
        var place = 0
        while place < members.count {
            guard isRemoved[place] else {
                place += 1
                continue
            }
            let first = place
            while place < members.count, isRemoved[place] { place += 1 }
            let start: Int
            let end: Int
            if first > 0 {
                start = members[first - 1].value.end
                end = members[place - 1].value.end
            } else {
                start = members[first].name.offset
                end =
                    place < members.count
                    ? members[place].name.offset : members[place - 1].value.end
            }
            replace(ByteRange(offset: start, count: end - start), with: [])
        }
    }
}
