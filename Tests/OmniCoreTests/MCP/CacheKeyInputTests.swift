import OmniCore
import Testing

@Suite("CacheKeyInput")
struct CacheKeyInputTests {
    static let golden: [(String, String, String, String)] = [
        (
            "test-mcp", "test_tool", #"{"param":"value"}"#,
            "480143310df718733e1b94983c8cad30b6afe1416da0a640762b3ccb00f4c5af"
        ),
        ("m", "t", "{}", "1d6fd72185560e2ba1c2adc6d9433dc71fd7bdbbaa2859dab65ade1506b05ee8"),
        (
            "m", "t", #"{"b":1,"a":[1,2.5,true,null,"é"]}"#,
            "37b9b5631e0303483ebfb56f4255544ab660164bc6c1838026ece135919ebb6e"
        ),
        (
            "m", "t", #"{"z":{"y":2,"x":1}}"#,
            "7bd55805c7bec3441005a323c7a2d17fa7b2e15970edff4b51161a2f592e8e80"
        ),
        (
            "m", "t", #"{"n":1.0}"#,
            "64ea59c37e9add25c9cbfb9371dbf9e8cb94370c59cdcf45b6929a63839dd8f2"
        ),
        (
            "m", "t", "{\"s\":\"a/b\\\"\\\\\\n\u{2028}😀\"}",
            "71b588c47a3a1acd0458e3d9cd32945708cc07f371f5d47d903346f6c8a8e12d"
        ),
        ("a:b", "c", "{}", "2cb3f3a932d8634ad6ee49d411eafa2ba8e3b85b6e0784865f766a5c901aac71"),
        ("a", "b:c", "{}", "2cb3f3a932d8634ad6ee49d411eafa2ba8e3b85b6e0784865f766a5c901aac71"),
    ]

    @Test func theTestsOwnHashIsSHA256() {
        #expect(
            SHA256.hex(Array("abc".utf8))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            SHA256.hex([UInt8](repeating: 0x61, count: 1_000))
                == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3")
    }

    @Test(arguments: golden) func theOriginalsKeysAreReproduced(
        _ mcp: String, _ tool: String, _ arguments: String, _ key: String
    ) throws {
        let text = TestText(arguments)
        let range = try text.validated()
        var input = CacheKeyInput()
        let bytes = text.with { input.compatible(mcp: mcp, tool: tool, arguments: range, in: $0) }
        #expect(SHA256.hex(bytes) == key)
    }

    private func native(
        server: String = "git", epoch: UInt64 = 1, tool: String = "log",
        arguments: String? = nil, meta: String? = nil, scope: CacheScope = .shared
    ) -> [UInt8] {
        let text = TestText((arguments ?? "") + (meta ?? ""))
        let argumentBytes = arguments?.utf8.count ?? 0
        var input = CacheKeyInput()
        return text.with { span in
            input.native(
                server: server, epoch: epoch, tool: tool,
                arguments: arguments.map { ByteRange(offset: 0, count: $0.utf8.count) },
                meta: meta.map { ByteRange(offset: argumentBytes, count: $0.utf8.count) },
                in: span, scope: scope)
        }
    }

    @Test func noTwoDifferentCallsShareANativeKey() {
        let keys = [
            native(), native(server: "gi", tool: "tlog"), native(server: "git:log", tool: ""),
            native(epoch: 2), native(arguments: #"{"a":1}"#), native(arguments: #"{"a":2}"#),
            native(arguments: #"{"a":9007199254740993}"#),
            native(arguments: #"{"a":9007199254740992}"#),
            native(arguments: #"{"a":1.0}"#), native(arguments: #"{"a":true}"#),
            native(meta: #"{"a":1}"#), native(meta: #"{"a":2}"#), native(scope: .role("a")),
            native(scope: .user("a")), native(scope: .role("")), native(scope: .user("")),
        ]
        #expect(Set(keys).count == keys.count)
    }

    @Test func spellingsOfOneCallShareANativeKey() {
        #expect(native() == native(arguments: "{}"))
        #expect(native() == native(arguments: "null"))
        #expect(
            native(arguments: #"{"b":1,"a":"x"}"#)
                == native(arguments: #"{ "a" : "\u0078", "b":1 }"#))
        #expect(
            native()
                == native(
                    meta: #"{"progressToken":5,"traceparent":"00-…","#
                        + #""io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#))
    }
}
