/// Changes a JSON text by cutting and pasting: results and parameters cross the gateway as the
/// bytes they came in, but for the few members that are ours to change.
///
/// Gather edits, then apply them in one copy. Two edits of the same bytes are a bug of the caller
/// and trap.
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
    /// Anything but an object is left as it is: what a peer sends as a result may be a number.
    ///
    /// A name that occurs twice is left once, so that no reader can take the other one. New members
    /// go to the front, where they are found without reading a long result to its end.
    public mutating func edit(
        _ object: ByteRange, in bytes: RawSpan, _ changes: [Change]
    ) {
        guard JSONScanner.kind(of: object, in: bytes) == .object else { return }
        var cursor = JSONMembers(of: object, in: bytes)
        while let member = cursor.next(in: bytes) {
            if changes.contains(where: { member.isNamed($0.name, in: bytes) }) {
                return rework(object, in: bytes, changes)
            }
        }
        // The usual case: nothing of ours is there yet.
        let isEmpty =
            JSONSkip.separators(bytes, from: object.offset + 1, to: object.end - 1)
            == object.end - 1
        insert(changes, into: object, isEmptyOtherwise: isEmpty)
    }

    /// The general case, where members stand in the way.
    private mutating func rework(
        _ object: ByteRange, in bytes: RawSpan, _ changes: [Change]
    ) {
        var members: [JSONMember] = []
        /// Per member the change that concerns it.
        var concerned: [Int?] = []
        var lastPlace = [Int?](repeating: nil, count: changes.count)
        var cursor = JSONMembers(of: object, in: bytes)
        while let member = cursor.next(in: bytes) {
            let index = changes.firstIndex { member.isNamed($0.name, in: bytes) }
            if let index { lastPlace[index] = members.count }
            members.append(member)
            concerned.append(index)
        }
        var isRemoved = [Bool](repeating: false, count: members.count)
        for (place, index) in concerned.enumerated() {
            guard let index else { continue }
            if let json = changes[index].json, lastPlace[index] == place {
                replace(members[place].value, with: json)
            } else {
                isRemoved[place] = true
            }
        }
        let missing = changes.indices.filter { lastPlace[$0] == nil }.map { changes[$0] }
        insert(missing, into: object, isEmptyOtherwise: !isRemoved.contains(false))
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
        var meta: [UInt8] = Array("{".utf8)
        Self.append(additions, to: &meta)
        meta.append(UInt8(ascii: "}"))
        edit(object, in: bytes, [Change("_meta", meta)])
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
        _ changes: [Change], into object: ByteRange, isEmptyOtherwise: Bool
    ) {
        var text: [UInt8] = []
        Self.append(changes, to: &text)
        if text.isEmpty { return }
        if !isEmptyOtherwise { text.append(UInt8(ascii: ",")) }
        replace(ByteRange(offset: object.offset + 1, count: 0), with: text)
    }

    /// The members that are set, with commas between them.
    private static func append(_ changes: [Change], to text: inout [UInt8]) {
        var isFirst = true
        for change in changes {
            guard let json = change.json else { continue }
            if !isFirst { text.append(UInt8(ascii: ",")) }
            isFirst = false
            text.append(UInt8(ascii: "\""))
            text.append(change.name)
            text.append("\":")
            text.append(contentsOf: json)
        }
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
