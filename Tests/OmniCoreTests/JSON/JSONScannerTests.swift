import OmniCore
import Testing

@Suite("JSONScanner")
struct JSONScannerTests {
    static let accepted: [String] = [
        "null", "true", "false", "0", "-0", "-1", "123", "1.5", "1e5", "1E+5", "1e-5", "-0.0",
        "0e0", "0.1e+10", "\"\"", "\"a\"", "[]", "{}", "[ ]", "{ }", "[[]]", "[1,2]", "[1 , 2 ]",
        "{\"a\":1}", "{\"a\":1,\"a\":2}", "{\"\":0}", " null ", "\n\t\r [1]\r\n", "[null,true,{}]",
        #""\"\\\/\b\f\n\r\t""#, #""\u0000""#, #""\u00e9""#, #""\ud83d\ude00""#, #""\uD834\uDd1e""#,
        #""\uFFFF""#, "\"é\"", "\"€\"", "\"😀\"", "\"\u{7F}\"", "\"\u{10FFFF}\"", "\"\u{E000}\"",
        "[\"a\",{\"b\":[1,{\"c\":null}]}]", "123456789012345678901234567890", "1e999",
        "[" + String(repeating: "\"long text without any escape in it\",", count: 9) + "0]",
    ]

    static let refused: [(String, Int, JSONError.Expected)] = [
        ("", 0, .value), (" ", 1, .value), ("nul", 0, .value), ("nulL", 0, .value),
        ("True", 0, .value), ("NaN", 0, .value), ("Infinity", 0, .value), ("-", 1, .digit),
        ("-a", 1, .digit), ("+1", 0, .value), ("01", 1, .endOfInput), ("-01", 2, .endOfInput),
        ("1.", 2, .digit), (".5", 0, .value), ("1.e5", 2, .digit), ("1e", 2, .digit),
        ("1e+", 3, .digit), ("0x10", 1, .endOfInput), ("1 2", 2, .endOfInput),
        ("[", 1, .value), ("[1", 2, .commaOrArrayEnd), ("[1,", 3, .value), ("[1,]", 3, .value),
        ("[,1]", 1, .value), ("[1 2]", 3, .commaOrArrayEnd), ("[1}", 2, .commaOrArrayEnd),
        ("]", 0, .value), ("{", 1, .memberNameOrEnd), ("{1:2}", 1, .memberNameOrEnd),
        ("{\"a\"", 4, .colon), ("{\"a\":", 5, .value), ("{\"a\" 1}", 5, .colon),
        ("{\"a\":1", 6, .commaOrObjectEnd), ("{\"a\":1,", 7, .memberName),
        ("{\"a\":1,}", 7, .memberName), ("{\"a\":1]", 6, .commaOrObjectEnd),
        ("{,}", 1, .memberNameOrEnd), ("{'a':1}", 1, .memberNameOrEnd),
        ("{a:1}", 1, .memberNameOrEnd), ("[]]", 2, .endOfInput), ("\"", 1, .stringEnd),
        ("\"a", 2, .stringEnd), ("\"\\", 2, .escape), ("\"\\x\"", 2, .escape),
        ("\"\\u12", 5, .hexDigit), ("\"\\u12G4\"", 5, .hexDigit),
        (#""\ud800""#, 1, .surrogatePair), (#""\udc00""#, 1, .surrogatePair),
        (#""\ud800\u0041""#, 1, .surrogatePair), (#""\ud800x""#, 1, .surrogatePair),
        (#""\ude00\ud83d""#, 1, .surrogatePair), ("\"\n\"", 1, .printableCharacter),
        ("\"\u{0}\"", 1, .printableCharacter),
        ("\"a long enough text\u{1F}\"", 19, .printableCharacter),
        ("// no\n1", 0, .value), ("[1/*no*/]", 2, .commaOrArrayEnd), ("\u{FEFF}1", 0, .value),
        ("[\u{A0}1]", 1, .value), ("{\"a\":1}x", 7, .endOfInput), ("[1\u{C}]", 2, .commaOrArrayEnd),
    ]

    static let brokenUTF8: [[UInt8]] = [
        [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x20], [0xE0, 0x80, 0x80],
        [0xE0, 0x9F, 0xBF], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
        [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98],
        [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xE2, 0x28, 0xA1],
    ]

    @Test(arguments: accepted) func acceptsWhatTheGrammarAllows(_ json: String) {
        #expect(TestText(json).failure == nil)
    }

    @Test(arguments: refused)
    func refusesAtTheFirstByteThatCannotStandThere(
        _ json: String, _ offset: Int, _ expected: JSONError.Expected
    ) {
        #expect(TestText(json).failure == JSONError(offset: offset, expected: expected))
    }

    @Test(arguments: brokenUTF8) func refusesBrokenUTF8WhereverItStands(_ broken: [UInt8]) {
        for padding in 0..<12 {
            let before = [UInt8](repeating: UInt8(ascii: "x"), count: padding)
            let text = TestText([0x22] + before + broken + [0x22])
            #expect(text.failure == JSONError(offset: 1 + padding, expected: .wellFormedUTF8))
        }
    }

    @Test func everyProperPrefixOfAContainerIsRefused() {
        let json = #" {"a":[1,-2.5e3,"x\né\ud83d\ude00",{"b":null}],"c":true,"dd":false} "#
        let bytes = Array(json.utf8)
        for count in 0..<bytes.count - 1 {
            #expect(TestText(Array(bytes[..<count])).failure != nil, "prefix of \(count) bytes")
        }
        #expect(TestText(bytes).failure == nil)
    }

    @Test func nestingIsBoundedExactly() throws {
        let deep = { (count: Int) in
            TestText(String(repeating: "[", count: count) + String(repeating: "]", count: count))
        }
        #expect(throws: Never.self) { try deep(7).validated(depthMax: 7) }
        #expect(throws: JSONError(offset: 7, expected: .lessDepth)) {
            try deep(8).validated(depthMax: 7)
        }
        #expect(throws: Never.self) { try deep(128).validated(depthMax: 1_000) }
        #expect(throws: JSONError(offset: 128, expected: .lessDepth)) {
            try deep(129).validated(depthMax: 1_000)
        }
    }

    @Test func containersOfDifferentKindsCloseInOrder() {
        #expect(TestText(#"{"a":[{"b":[]}]}"#).failure == nil)
        #expect(
            TestText(#"{"a":[{"b":[}]]}"#).failure == JSONError(offset: 12, expected: .value))
        #expect(
            TestText(#"[{"a":1]}"#).failure == JSONError(offset: 7, expected: .commaOrObjectEnd))
    }

    @Test func theRangeLeavesOutWhiteSpaceAround() throws {
        #expect(try TestText(" \n[1] ").validated() == ByteRange(offset: 2, count: 3))
    }

    @Test func aPartOfABufferIsValidatedOnItsOwn() throws {
        let text = TestText("xx{\"a\":1}yy")
        let range = try text.bytes.withRawSpan { span throws(JSONError) in
            try JSONScanner.validate(span, in: ByteRange(offset: 2, count: 7))
        }
        #expect(text.text(range) == "{\"a\":1}")
        #expect(text.member("a", of: range) == "1")
    }

    @Test func membersAreFoundByTheirDecodedName() {
        let text = TestText(
            #"{ "a" : 1 , "m\u0065thod":"x","nested":{"a":[2,{"a":3}]}, "é":4, "last":[ ] }"#)
        #expect(text.failure == nil)
        #expect(text.member("a") == "1")
        #expect(text.member("method") == #""x""#)
        #expect(text.member("nested") == #"{"a":[2,{"a":3}]}"#)
        #expect(text.member("é") == "4")
        #expect(text.member("last") == "[ ]")
        #expect(text.member("absent") == nil)
        #expect(text.with { JSONScanner.member(named: "é", of: text.whole, in: $0) } != nil)
        #expect(text.with { JSONScanner.member(named: "method", of: text.whole, in: $0) } != nil)
        #expect(text.with { JSONScanner.member(named: "last ", of: text.whole, in: $0) } == nil)
    }

    @Test func theLastOfEqualNamesWins() {
        #expect(TestText(#"{"a":1,"b":2,"\u0061":3}"#).member("a") == "3")
    }

    @Test func bracketsAndQuotesInsideStringsAreText() {
        let text = TestText(#"{"x":{"s":"}]\"{[\\"},"y":["\\",  "]"],"z":7}"#)
        #expect(text.failure == nil)
        #expect(text.member("y") == #"["\\",  "]"]"#)
        #expect(text.member("z") == "7")
    }

    @Test func onlyContainersHaveParts() {
        for json in ["1", "\"{}\"", "null", "true"] {
            let text = TestText(json)
            #expect(text.member("a") == nil)
            #expect(text.with { JSONScanner.element(0, of: text.whole, in: $0) } == nil)
            #expect(text.with { JSONScanner.count(of: text.whole, in: $0) } == 0)
        }
        let array = TestText("[1, [2,3], {\"a\":4}]")
        #expect(array.member("a") == nil)
        #expect(array.with { JSONScanner.count(of: array.whole, in: $0) } == 3)
        #expect(
            array.text(array.with { JSONScanner.element(1, of: array.whole, in: $0) }) == "[2,3]")
        #expect(array.with { JSONScanner.element(3, of: array.whole, in: $0) } == nil)
    }

    @Test func valuesAreReadByType() {
        func read<Value>(_ json: String, _ body: (ByteRange, RawSpan) -> Value) -> Value {
            let text = TestText(json)
            return text.with { body(text.whole, $0) }
        }
        func int(_ json: String) -> Int64? { read(json) { JSONScanner.int($0, in: $1) } }
        func double(_ json: String) -> Double? { read(json) { JSONScanner.double($0, in: $1) } }
        func string(_ json: String) -> String? { read(json) { JSONScanner.string($0, in: $1) } }
        func bool(_ json: String) -> Bool? { read(json) { JSONScanner.bool($0, in: $1) } }

        #expect(int("0") == 0)
        #expect(int("-0") == 0)
        #expect(int("9223372036854775807") == .max)
        #expect(int("-9223372036854775808") == .min)
        #expect(int("9223372036854775808") == nil)
        #expect(int("-9223372036854775809") == nil)
        #expect(int("1.0") == nil)
        #expect(int("\"1\"") == nil)
        #expect(double("1.5") == 1.5)
        #expect(double("-0")?.sign == .minus)
        #expect(double("9007199254740993") == 9_007_199_254_740_992)
        #expect(double("1e400") == .infinity)
        #expect(double("5e-324") == .leastNonzeroMagnitude)
        #expect(bool("true") == true)
        #expect(bool("false") == false)
        #expect(bool("0") == nil)
        #expect(string(#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#) == "a\"\\/\u{8}\u{C}\n\r\té😀é")
        #expect(string("1") == nil)
        #expect(read("\"a\\u0062\"") { JSONScanner.equals($0, "ab", in: $1) })
        #expect(!read("\"ab\"") { JSONScanner.equals($0, "abc", in: $1) })
        #expect(!read("\"abc\"") { JSONScanner.equals($0, "ab", in: $1) })
    }

    @Test func accentsInTwoSpellingsAreTwoNames() {
        let text = TestText("{\"e\u{301}\":1}")
        #expect(text.with { JSONScanner.member(named: "\u{E9}", of: text.whole, in: $0) } == nil)
    }

    /// Whatever the bytes are, look-ups end inside the buffer.
    @Test(arguments: testSeeds) func lookUpsSurviveAnyBytes(_ seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let alphabet = Array("{}[]\":,\\ua10 \u{80}\u{FF}".utf8)
        for _ in 0..<2_000 {
            let count = Int.random(in: 0..<40, using: &random)
            let text = TestText((0..<count).map { _ in alphabet.randomElement(using: &random)! })
            _ = text.failure
            for offset in 0..<count {
                let range = ByteRange(offset: offset, count: count - offset)
                text.with { span in
                    _ = JSONScanner.member("a", of: range, in: span)
                    _ = JSONScanner.element(2, of: range, in: span)
                    _ = JSONScanner.string(range, in: span)
                    _ = JSONScanner.int(range, in: span)
                    _ = JSONScanner.double(range, in: span)
                }
            }
        }
    }
}
