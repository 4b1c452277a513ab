import OmniCore
import Testing

struct JSONWithCommentsTests {
    @Test(arguments: [
        ("{\"a\": 1, // one\n \"b\": [1, 2,], /* two\n lines */ }", "{\"a\":1,\"b\":[1,2]}"),
        (
            "[\"// no comment\", \"/* nor this */\", \"\\\"//\"]",
            "[\"// no comment\",\"/* nor this */\",\"\\\"//\"]"
        ),
        ("{}", "{}"), ("[1, /* , */ ]", "[1]"), ("// only\n1", "1"),
    ])
    func `comments and last commas go, everything else stays`(text: String, wanted: String) throws {
        let plain = JSONWithComments.plain(Array(text.utf8))
        #expect(plain.count == text.utf8.count)
        #expect(try JSONValue(parsing: plain) == JSONValue(parsing: Array(wanted.utf8)))
    }

    @Test(arguments: ["[1,,]", "[,]x", "{\"a\" 1 / 2}", "[1 /* never ends", "\"open", "[1, 2"])
    func `what is no JSON otherwise stays none`(text: String) {
        #expect(throws: JSONError.self) {
            try JSONValue(parsing: JSONWithComments.plain(Array(text.utf8)))
        }
    }
}
