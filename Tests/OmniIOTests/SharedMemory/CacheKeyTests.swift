import CShims.Cache
import Omni2Cache
import Testing

@testable import OmniIO

@Suite("Cache keys")
struct CacheKeyTests {
    /// (server, tool, arguments, their canonical form, key): the original's own results.
    static let vectors: [(String, String, String, String, String)] = [
        (
            "test-mcp", "test_tool", #"{"param":"value"}"#, #"{"param": "value"}"#,
            "480143310df718733e1b94983c8cad30b6afe1416da0a640762b3ccb00f4c5af"
        ),
        ("m", "t", "{}", "{}", "1d6fd72185560e2ba1c2adc6d9433dc71fd7bdbbaa2859dab65ade1506b05ee8"),
        (
            "m", "t", #"{"b":1,"a":[1,2.5,true,null,"é"]}"#,
            #"{"a": [1, 2.5, true, null, "\u00e9"], "b": 1}"#,
            "37b9b5631e0303483ebfb56f4255544ab660164bc6c1838026ece135919ebb6e"
        ),
        (
            "m", "t", #"{"z":{"y":2,"x":1}}"#, #"{"z": {"x": 1, "y": 2}}"#,
            "7bd55805c7bec3441005a323c7a2d17fa7b2e15970edff4b51161a2f592e8e80"
        ),
        (
            "m", "t", #"{"n":1.0}"#, #"{"n": 1.0}"#,
            "64ea59c37e9add25c9cbfb9371dbf9e8cb94370c59cdcf45b6929a63839dd8f2"
        ),
        (
            "m", "t", "{\"s\":\"a/b\\\"\\\\\\n\u{2028}\u{1F600}\"}",
            #"{"s": "a/b\"\\\n\u2028\ud83d\ude00"}"#,
            "71b588c47a3a1acd0458e3d9cd32945708cc07f371f5d47d903346f6c8a8e12d"
        ),
        (
            "a:b", "c", "{}", "{}",
            "2cb3f3a932d8634ad6ee49d411eafa2ba8e3b85b6e0784865f766a5c901aac71"
        ),
        (
            "a", "b:c", "{}", "{}",
            "2cb3f3a932d8634ad6ee49d411eafa2ba8e3b85b6e0784865f766a5c901aac71"
        ),
    ]

    @Test(arguments: vectors.indices)
    func originalsKeysComeOut(index: Int) throws {
        let (server, tool, arguments, canonical, wanted) = Self.vectors[index]
        let hasher = CacheKeyHasher()
        let daemon = hasher.compatibleKey(
            server: server, tool: tool, canonicalArguments: canonical.utf8.span)
        #expect(daemon.description == wanted)
        #expect(CacheKey(hex: wanted) == daemon)
        let reader = try CacheReaderKey(server: server, tool: tool, arguments: arguments)
        #expect(reader.description == wanted)
    }

    @Test func nativeKeysAgreeAndDoNotCollide() throws {
        let hasher = CacheKeyHasher()
        let keys = [("a:b", "c"), ("a", "b:c")].map { server, tool in
            hasher.nativeKey(
                scope: "user:7", epoch: "e", server: server, tool: tool,
                canonicalArguments: "{}".utf8.span)
        }
        #expect(keys[0] != keys[1])
        let reader = try CacheReaderKey(
            scope: "user:7", epoch: "e", server: "a:b", tool: "c", arguments: " {} ")
        #expect(reader.description == keys[0].description)
    }

    @Test func whatIsNotAKeyIsRefused() {
        #expect(CacheKey(hex: "00") == nil)
        #expect(CacheKey(hex: String(repeating: "g", count: 64)) == nil)
        #expect(CacheKey(bytes: [1, 2, 3].span) == nil)
        #expect(throws: CacheReaderError.self) {
            try CacheReaderKey(server: "s", tool: "t", arguments: "{")
        }
    }

    /// The check value of CRC-32C, and both ways of computing it at every alignment of the end.
    @Test func checksumIsCastagnolis() {
        let digits = Array("123456789".utf8)
        #expect(unsafe omni2_crc32c(digits, 9) == 0xe306_9283)
        var random = SeededRandom(1)
        for count in 0..<40 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(unsafe omni2_crc32c(bytes, count) == omni2_crc32c_software(bytes, count))
        }
    }
}
