import OmniCore
import Testing

@Suite("JSONCanonicalizer")
struct JSONCanonicalizerTests {
    private func canonical(_ json: String, _ form: JSONCanonicalizer.Form) throws -> String {
        let text = TestText(json)
        let range = try text.validated()
        var canonicalizer = JSONCanonicalizer()
        var output: [UInt8] = []
        text.with { canonicalizer.append(range, in: $0, as: form, to: &output) }
        return String(decoding: output, as: UTF8.self)
    }

    @Test func pythonsDumpsIsReproducedByteForByte() throws {
        for vector in PythonJSONVectors.all {
            #expect(try canonical(vector.text, .python) == vector.dumped, "\(vector.text)")
        }
    }

    @Test func namesSortByUTF16UnitsInRFC8785() throws {
        // The example of RFC 8785, section 3.2.3.
        let json = """
            {"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\ufb33":"Hebrew Letter Dalet With Dagesh",
            "1":"One","\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control",
            "\\u00f6":"Latin Small Letter O With Diaeresis"}
            """
        #expect(
            try canonical(json, .rfc8785)
                == "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\","
                + "\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\","
                + "\"😀\":\"Emoji: Grinning Face\","
                + "\"\u{FB33}\":\"Hebrew Letter Dalet With Dagesh\"}")
    }

    @Test func theExampleOfRFC8785IsReproduced() throws {
        let json = """
            { "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\"\\/",
              "literals": [null, true, false] }
            """
        #expect(
            try canonical(json, .rfc8785)
                == "{\"literals\":[null,true,false],"
                + "\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
                + "\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}")
    }

    static let numbers: [(String, String)] = [
        ("0", "0"), ("-0", "0"), ("-0.0", "0"), ("1.0", "1"), ("1e0", "1"), ("10e-1", "1"),
        ("5e-324", "5e-324"), ("-5e-324", "-5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("9007199254740992", "9007199254740992"),
        ("295147905179352830000", "295147905179352830000"),
        ("999999999999999700000", "999999999999999700000"), ("1e21", "1e+21"),
        ("1e20", "100000000000000000000"),
        ("9.999999999999997e22", "9.999999999999997e+22"), ("1e23", "1e+23"),
        ("0.000001", "0.000001"), ("0.0000001", "1e-7"), ("1.5e-9", "1.5e-9"),
        ("123.456", "123.456"),
        ("333333333.3333332", "333333333.3333332"), ("-1e-5", "-0.00001"),
    ]

    @Test(arguments: numbers) func numbersAreWrittenAsECMAScriptDoes(_ json: String, _ text: String)
        throws
    {
        #expect(try canonical(json, .rfc8785) == text)
    }

    @Test func numbersADoubleCannotHoldStayApart() throws {
        let pairs = [
            ("9007199254740993", "9007199254740992"), ("1e400", "1e401"), ("1e-400", "0"),
            ("0.1", "0.10000000000000000001"), ("4.9e-324", "5e-324"),
            ("123456789012345678901", "123456789012345678902"),
        ]
        for (left, right) in pairs {
            #expect(try canonical(left, .lossless) != canonical(right, .lossless))
        }
        for (left, right) in [("1.0", "1"), ("1e2", "100"), ("0.10", "0.1"), ("-0.0", "0")] {
            #expect(try canonical(left, .lossless) == canonical(right, .lossless))
        }
    }

    @Test func theLastOfEqualNamesWinsInEveryForm() throws {
        let json = #"{"b":0,"a":1,"\u0061":2,"c":{"x":1,"x":[1],"x":"y"}}"#
        #expect(try canonical(json, .rfc8785) == #"{"a":2,"b":0,"c":{"x":"y"}}"#)
        #expect(try canonical(json, .python) == #"{"a": 2, "b": 0, "c": {"x": "y"}}"#)
    }

    @Test(arguments: testSeeds) func spellingsOfOneValueHaveOneForm(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<200 {
            let value = JSONGenerator.value(depth: 4, using: &random)
            let shuffled = Self.shuffle(value, using: &random)
            let spelling = JSONGenerator.loosely(shuffled, using: &random)
            let other = String(decoding: spelling, as: UTF8.self)
            for form in [JSONCanonicalizer.Form.python, .rfc8785, .lossless] {
                let first = try canonical(value.text, form)
                #expect(try first == canonical(other, form), "seed \(seed)")
                #expect(try first == canonical(first, form), "seed \(seed): not a fixed point")
            }
        }
    }

    @Test(arguments: [2, 3, 7, 16, 100, 1_000]) func manyNamesAreSorted(_ count: Int) throws {
        var random = SplitMix64(seed: UInt64(count))
        let names = (0..<count).map { "k\($0)" }
        let members = names.shuffled(using: &random).map { (name: $0, value: JSONValue.null) }
        let sorted = names.sorted().map { (name: $0, value: JSONValue.null) }
        #expect(
            try canonical(JSONValue.object(JSONObject(members)).text, .rfc8785)
                == JSONValue.object(JSONObject(sorted)).text)
    }

    private static func shuffle(
        _ value: JSONValue, using random: inout SplitMix64
    ) -> JSONValue {
        switch value {
        case .array(let elements): return .array(elements.map { shuffle($0, using: &random) })
        case .object(let object):
            let members = object.members.shuffled(using: &random)
            return .object(
                JSONObject(members.map { ($0.name, shuffle($0.value, using: &random)) }))
        default: return value
        }
    }
}
