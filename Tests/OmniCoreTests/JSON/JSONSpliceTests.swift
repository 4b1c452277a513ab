import OmniCore
import Testing

@Suite("JSONSplice")
struct JSONSpliceTests {
    private func edited(_ json: String, _ changes: [JSONSplice.Change]) -> String {
        let text = TestText(json)
        return text.with { span in
            var splice = JSONSplice()
            splice.edit(text.whole, in: span, changes)
            return String(decoding: splice.applied(to: text.whole, of: span), as: UTF8.self)
        }
    }

    private func withMeta(_ json: String, _ changes: [JSONSplice.Change]) -> String {
        let text = TestText(json)
        return text.with { span in
            var splice = JSONSplice()
            splice.editMeta(of: text.whole, in: span, changes)
            return String(decoding: splice.applied(to: text.whole, of: span), as: UTF8.self)
        }
    }

    @Test func aMemberIsReplacedInPlaceOrPutInFront() {
        #expect(edited(#"{"a":1, "b": 2 }"#, [.init("b", value: 3)]) == #"{"a":1, "b": 3 }"#)
        #expect(edited(#"{"a":1}"#, [.init("b", value: 3)]) == #"{"b":3,"a":1}"#)
        #expect(edited("{}", [.init("b", value: 3)]) == #"{"b":3}"#)
        #expect(edited("{ }", [.init("a", value: 1), .init("b", value: 2)]) == #"{"a":1,"b":2 }"#)
    }

    @Test func removalsTakeTheirCommasAlong() {
        let json = #"{"a":1,"b":2,"c":3}"#
        #expect(edited(json, [.removal(of: "a")]) == #"{"b":2,"c":3}"#)
        #expect(edited(json, [.removal(of: "b")]) == #"{"a":1,"c":3}"#)
        #expect(edited(json, [.removal(of: "c")]) == #"{"a":1,"b":2}"#)
        #expect(edited(json, [.removal(of: "a"), .removal(of: "b")]) == #"{"c":3}"#)
        #expect(edited(json, [.removal(of: "b"), .removal(of: "c")]) == #"{"a":1}"#)
        #expect(edited(json, [.removal(of: "a"), .removal(of: "c")]) == #"{"b":2}"#)
        #expect(edited(json, [.removal(of: "x")]) == json)
        #expect(
            edited(json, [.removal(of: "a"), .removal(of: "b"), .removal(of: "c")]) == "{}")
        #expect(
            edited(
                json,
                [.removal(of: "a"), .removal(of: "b"), .removal(of: "c"), .init("d", value: 4)])
                == #"{"d":4}"#)
    }

    @Test func aNameThatOccursTwiceIsLeftOnce() {
        #expect(
            edited(#"{"a":1,"b":2,"\u0061":3}"#, [.init("a", value: 9)]) == #"{"b":2,"\u0061":9}"#)
    }

    @Test func metaIsMergedAndMadeWhereMissing() {
        let mark: [JSONSplice.Change] = [.init("omni2/cache", value: "hit")]
        #expect(
            withMeta(#"{"content":[]}"#, mark) == #"{"_meta":{"omni2/cache":"hit"},"content":[]}"#)
        #expect(
            withMeta(#"{"_meta":{"x":1},"content":[]}"#, mark)
                == #"{"_meta":{"omni2/cache":"hit","x":1},"content":[]}"#)
        #expect(withMeta(#"{"_meta":null}"#, mark) == #"{"_meta":{"omni2/cache":"hit"}}"#)
        #expect(withMeta("{}", [.removal(of: "progressToken")]) == "{}")
        #expect(
            withMeta(#"{"_meta":{"progressToken":1}}"#, [.removal(of: "progressToken")])
                == #"{"_meta":{}}"#)
    }

    @Test(arguments: ["7", "null", "[]", "\"{}\""]) func whatIsNoObjectStaysAsItIs(_ json: String) {
        #expect(edited(json, [.init("a", value: 1), .removal(of: "b")]) == json)
        #expect(withMeta(json, [.init("a", value: 1)]) == json)
    }

    @Test func editsOfDifferentObjectsAreMadeTogether() {
        let text = TestText(#"{"name":"a__b","arguments":{"x":1},"_meta":{"progressToken":7}}"#)
        let result = text.with { span in
            var splice = JSONSplice()
            splice.editMeta(of: text.whole, in: span, [.init("progressToken", value: 42)])
            splice.edit(text.whole, in: span, [.init("name", value: "b")])
            return String(decoding: splice.applied(to: text.whole, of: span), as: UTF8.self)
        }
        #expect(result == #"{"name":"b","arguments":{"x":1},"_meta":{"progressToken":42}}"#)
    }

    @Test func overlappingEditsTrap() async {
        await #expect(processExitsWith: .failure) {
            var splice = JSONSplice()
            splice.replace(ByteRange(offset: 2, count: 4), with: [])
            splice.replace(ByteRange(offset: 5, count: 1), with: [])
        }
    }

    /// Splicing and editing a tree lead to the same value.
    @Test(arguments: testSeeds) func splicingEqualsEditingTheTree(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let names: [StaticString] = ["a", "b", "c", "d", "e"]
        for _ in 0..<500 {
            var object = JSONObject()
            for name in names where Bool.random(using: &random) {
                object["\(name)"] = JSONGenerator.value(depth: 2, using: &random)
            }
            var changes: [JSONSplice.Change] = []
            var expected = object
            for name in names where Bool.random(using: &random) {
                if Bool.random(using: &random) {
                    let value = JSONGenerator.value(depth: 1, using: &random)
                    changes.append(.init(name, value: value))
                    expected["\(name)"] = value
                } else {
                    changes.append(.removal(of: name))
                    expected["\(name)"] = nil
                }
            }
            let loose = JSONGenerator.loosely(.object(object), using: &random)
            let text = TestText(loose)
            let whole = try text.validated()
            let result = text.with { span in
                var splice = JSONSplice()
                splice.edit(whole, in: span, changes)
                return splice.applied(to: whole, of: span)
            }
            #expect(
                try JSONValue(parsing: result) == .object(expected),
                "seed \(seed): \(String(decoding: result, as: UTF8.self))")
        }
    }
}
