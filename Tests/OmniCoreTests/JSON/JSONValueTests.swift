import OmniCore
import Testing

@Suite("JSONValue")
struct JSONValueTests {
    @Test func literalsReadLikeJSON() throws {
        let value: JSONValue = [
            "name": "git", "tools": [1, 2.5, true, nil], "nested": ["a": ["b": "c"]],
        ]
        #expect(
            value.text == #"{"name":"git","tools":[1,2.5,true,null],"nested":{"a":{"b":"c"}}}"#)
        #expect(value["nested"]?["a"]?["b"]?.string == "c")
        #expect(value["tools"]?[0]?.int == 1)
        #expect(value["tools"]?[9] == nil)
        #expect(value["tools"]?["name"] == nil)
        #expect(value["absent"] == nil)
        #expect(try JSONValue(parsing: value.text) == value)
    }

    @Test(arguments: [
        "123456789012345678901234567890", "-9223372036854775809", "1e400",
        "0.12345678901234567890123",
        "-0", "1.5", "1e+30", "9223372036854775807",
    ])
    func numbersComeBackAsTheyWere(_ json: String) throws {
        let value = try JSONValue(parsing: json)
        #expect(try JSONValue(parsing: value.text) == value)
        #expect(value.double == Double(json))
        if json.contains("e") || json.utf8.count > 18 { return }
        #expect(value.text == (json == "-0" ? "-0.0" : json))
    }

    @Test func membersCanBeSetAndRemoved() {
        var value: JSONValue = ["a": 1, "b": 2]
        value["a"] = nil
        value["c"] = "x"
        value["b"] = 3
        #expect(value.text == #"{"b":3,"c":"x"}"#)
    }

    /// In objects of a few members and of many, which are looked through in different ways.
    @Test(arguments: [2, 16, 17, 100])
    func theLastOfEqualNamesWins(_ count: Int) throws {
        let members = (0..<count - 1).map { #""m\#($0)":\#($0)"# }
        let text = "{" + members.joined(separator: ",") + #","m0":"last"}"#
        let value = try JSONValue(parsing: text)
        #expect(value.object?.count == count - 1)
        #expect(value.object?.names.first == "m0")
        #expect(value["m0"]?.string == "last")
    }

    @Test func objectsAreEqualWhateverTheirOrder() {
        let left: JSONValue = ["a": 1, "b": [2]]
        let right: JSONValue = ["b": [2], "a": 1]
        #expect(left == right)
        #expect(left.hashValue == right.hashValue)
        #expect(left != ["a": 1, "b": [3]])
        #expect(left != ["a": 1])
    }

    @Test func limitsAreTypedErrors() {
        #expect(throws: JSONError(offset: 4, expected: .fewerBytes)) {
            try JSONValue(parsing: "[1,2,3]", limits: JSONLimits(bytesMax: 4))
        }
        #expect(throws: JSONError(offset: 1, expected: .lessDepth)) {
            try JSONValue(parsing: "[[]]", limits: JSONLimits(depthMax: 1))
        }
        #expect(throws: JSONError(offset: 5, expected: .fewerValues)) {
            try JSONValue(parsing: "[1,2,3]", limits: JSONLimits(valuesMax: 3))
        }
    }

    @Test func errorsSayWhereAndWhat() {
        #expect(TestText("[1,]").failure?.description == "at byte 3: expected a value")
    }

    @Test(arguments: testSeeds) func randomTreesSurviveTheRoundTrip(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<400 {
            let value = JSONGenerator.value(depth: 4, using: &random)
            let bytes = value.bytes
            #expect(try JSONValue(parsing: bytes) == value, "seed \(seed): \(value)")
            let loose = JSONGenerator.loosely(value, using: &random)
            #expect(try JSONValue(parsing: loose) == value, "seed \(seed): \(value)")
        }
    }

    /// One byte of a valid text changed: refused, or still the round trip holds.
    @Test(arguments: testSeeds) func mutatedTextsNeverConfuseTheReader(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<400 {
            var bytes = JSONGenerator.value(depth: 3, using: &random).bytes
            let place = Int.random(in: 0..<bytes.count, using: &random)
            bytes[place] = UInt8.random(in: 0...255, using: &random)
            guard let value = try? JSONValue(parsing: bytes) else { continue }
            #expect(try JSONValue(parsing: value.bytes) == value, "seed \(seed): \(bytes)")
        }
    }
}

@Suite("JSONWriter")
struct JSONWriterTests {
    @Test func commasComeByThemselves() {
        var json = JSONWriter()
        json.object { json in
            json.member("a", "x\"\u{1}\n")
            json.member("b", 1)
            json.memberArray("c") { json in
                json.value(true)
                json.object { _ in }
                json.array { $0.null() }
                json.raw("[0]")
            }
            json.member("d", orNull: String?.none)
            json.member("e", ifPresent: nil)
            json.memberObject("f") { $0.member("g", 2.5) }
            json.member("h", ["i", "j"])
            json.name(text: "k\"")
            json.value(Int64.min)
        }
        #expect(
            String(decoding: json.take(), as: UTF8.self)
                == #"{"a":"x\"\u0001\n","b":1,"c":[true,{},[null],[0]],"d":null,"f":{"g":2.5},"#
                + #""h":["i","j"],"k\"":-9223372036854775808}"#)
    }

    @Test func numbersAreWrittenInFull() {
        var json = JSONWriter()
        json.array { json in
            json.value(UInt64.max)
            json.value(0)
            json.value(-7)
            json.value(Double.infinity)
            json.value(0.1)
            json.value(1e300)
        }
        #expect(
            String(decoding: json.take(), as: UTF8.self)
                == "[18446744073709551615,0,-7,null,0.1,1e+300]")
    }

    @Test func aWriterGoesOnAtTheEndOfABuffer() {
        var json = JSONWriter(Array("data: ".utf8))
        json.object { $0.member("a", true) }
        #expect(json.take() == Array("data: {\"a\":true}".utf8))
    }

    @Test func halfAnObjectTraps() async {
        await #expect(processExitsWith: .failure) {
            var json = JSONWriter()
            json.beginObject()
            _ = json.take()
        }
    }
}

/// Random values, and the same value with white space and escapes in other places.
enum JSONGenerator {
    static func value(depth: Int, using random: inout SplitMix64) -> JSONValue {
        switch Int.random(in: 0..<(depth == 0 ? 6 : 9), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2:
            return .int(
                Int64.random(in: .min ... .max, using: &random)
                    >> Int64.random(in: 0..<64, using: &random))
        case 3:
            // Not whole: a whole double is written with ".0" and reads back as a double again.
            return .double(Double.random(in: -1e6...1e6, using: &random) + 0.5)
        case 4, 5: return .string(text(using: &random))
        case 6, 7:
            let count = Int.random(in: 0..<5, using: &random)
            return .array((0..<count).map { _ in value(depth: depth - 1, using: &random) })
        default:
            let count = Int.random(in: 0..<5, using: &random)
            return .object(
                JSONObject(
                    (0..<count).map { _ in
                        (text(using: &random), value(depth: depth - 1, using: &random))
                    }))
        }
    }

    static func text(using random: inout SplitMix64) -> String {
        let scalars: [Unicode.Scalar] = [
            "a", "b", "Z", "0", " ", "\"", "\\", "/", "{", "]", "\n", "\u{0}", "\u{1F}", "\u{7F}",
            "é", "\u{301}", "\u{2028}", "\u{E000}", "\u{FFFF}", "😀", "\u{10FFFF}",
        ]
        let count = Int.random(in: 0..<20, using: &random)
        var text = String.UnicodeScalarView()
        for _ in 0..<count { text.append(scalars.randomElement(using: &random)!) }
        return String(text)
    }

    static func loosely(_ value: JSONValue, using random: inout SplitMix64) -> [UInt8] {
        func space() -> [UInt8] {
            let spaces: [UInt8] = [0x20, 0x09, 0x0A, 0x0D]
            return (0..<Int.random(in: 0..<3, using: &random)).map { _ in
                spaces.randomElement(using: &random)!
            }
        }
        func join(_ parts: [[UInt8]]) -> [UInt8] {
            Array(parts.joined(separator: space() + [UInt8(ascii: ",")] + space()))
        }
        let text: [UInt8]
        switch value {
        case .string(let string): text = escaped(string, using: &random)
        case .array(let elements):
            text =
                Array("[".utf8) + space() + join(elements.map { loosely($0, using: &random) })
                + space() + Array("]".utf8)
        case .object(let object):
            let members = object.members.map { member in
                escaped(member.name, using: &random) + space() + [UInt8(ascii: ":")]
                    + loosely(member.value, using: &random)
            }
            text = Array("{".utf8) + space() + join(members) + Array("}".utf8)
        default: text = value.bytes
        }
        return space() + text + space()
    }

    private static func escaped(_ text: String, using random: inout SplitMix64) -> [UInt8] {
        var json = Array("\"".utf8)
        for scalar in text.unicodeScalars {
            let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
            if !mustEscape, Bool.random(using: &random) {
                json += Array(String(scalar).utf8)
                continue
            }
            for unit in UTF16.encode(scalar)! {
                let digits = String(unit, radix: 16, uppercase: Bool.random(using: &random))
                json += Array(
                    ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
            }
        }
        return json + Array("\"".utf8)
    }
}
