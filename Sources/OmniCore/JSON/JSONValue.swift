/// A JSON text as a tree: for code off the hot path, where reading well matters more than bytes.
///
/// Members keep their order and numbers that fit neither `Int64` nor `Double` exactly keep their
/// text, so that parse and serialise give back what came in (but for white space and escapes).
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    /// The text of a number that no `Int64` and no `Double` holds exactly.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// The members of an object in their order, names unique.
public struct JSONObject: Sendable {
    public private(set) var members: [(name: String, value: JSONValue)] = []

    public init() {}

    /// The last of equal names wins, at the place of the first.
    public init(_ members: [(name: String, value: JSONValue)]) {
        self.members.reserveCapacity(members.count)
        if members.count > Self.searchedMax {
            merge(members)
        } else {
            for member in members { self[member.name] = member.value }
        }
    }

    /// So many members are looked through faster than a table of their names is made.
    private static let searchedMax = 16

    private mutating func merge(_ members: [(name: String, value: JSONValue)]) {
        // By bytes: String equality would take two spellings of one accented letter for the same.
        var positions: [[UInt8]: Int] = [:]
        for member in members {
            let key = Array(member.name.utf8)
            if let position = positions[key] {
                self.members[position].value = member.value
            } else {
                positions[key] = self.members.count
                self.members.append(member)
            }
        }
    }

    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }
    public var names: [String] { members.map(\.name) }

    /// Setting nil removes the member.
    public subscript(name: String) -> JSONValue? {
        get { position(of: name).map { members[$0].value } }
        set {
            let position = position(of: name)
            switch (position, newValue) {
            case (let position?, let value?): members[position].value = value
            case (let position?, nil): members.remove(at: position)
            case (nil, let value?): members.append((name, value))
            case (nil, nil): break
            }
        }
    }

    private func position(of name: String) -> Int? {
        // Most names differ in length already.
        let count = name.utf8.count
        return members.firstIndex {
            $0.name.utf8.count == count && $0.name.utf8.elementsEqual(name.utf8)
        }
    }
}

extension JSONObject: Hashable {
    /// Equal whatever the order: that is what JSON says an object is.
    public static func == (left: Self, right: Self) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left.sorted, right.sorted).allSatisfy {
            $0.name.utf8.elementsEqual($1.name.utf8) && $0.value == $1.value
        }
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(count)
        for member in sorted {
            hasher.combine(member.name)
            hasher.combine(member.value)
        }
    }

    private var sorted: [(name: String, value: JSONValue)] {
        members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }
}

extension JSONValue {
    public subscript(name: String) -> JSONValue? {
        get { object?[name] }
        set {
            guard case .object(var members) = self else {
                preconditionFailure("only an object has members")
            }
            members[name] = newValue
            self = .object(members)
        }
    }

    public subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    public var isNull: Bool { self == .null }

    public var bool: Bool? {
        if case .bool(let flag) = self { flag } else { nil }
    }

    /// Also from a double without a fraction, since JSON does not tell 5 and 5.0 apart.
    public var int: Int64? {
        switch self {
        case .int(let number): number
        case .double(let number): Int64(exactly: number)
        default: nil
        }
    }

    public var double: Double? {
        switch self {
        case .int(let number): Double(number)
        case .double(let number): number
        case .number(let text): Double(text)
        default: nil
        }
    }

    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    public var array: [JSONValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    public var object: JSONObject? {
        if case .object(let members) = self { members } else { nil }
    }

    /// The elements that are strings; nil when this is not an array.
    public var strings: [String]? { array.map { $0.compactMap(\.string) } }
}

// MARK: Literals

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringInterpolation,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral flag: Bool) { self = .bool(flag) }
    public init(integerLiteral number: Int64) { self = .int(number) }
    public init(floatLiteral number: Double) { self = .double(number) }
    public init(stringLiteral text: String) { self = .string(text) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    public init(dictionaryLiteral members: (String, JSONValue)...) {
        self = .object(JSONObject(members.map { (name: $0.0, value: $0.1) }))
    }

    public init(_ number: Int) { self = .int(Int64(number)) }
    public init(_ text: String?) { self = text.map { .string($0) } ?? .null }
    public init(_ texts: [String]) { self = .array(texts.map { .string($0) }) }
}
