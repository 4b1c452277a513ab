import OmniCore
import Testing

@Suite("JSONSchema")
struct JSONSchemaTests {
    private let person = JSONSchema.object(
        .required("name", .text(.printable, 1...5)),
        .optional("age", .nullable(.integer(0...150))),
        .optional("tags", .list(.word(["a", "b"]), 0...2)),
        .optional("more", .map(.either([.boolean, .number(0...1)]))))

    @Test(arguments: [
        (#"{"name": "ann"}"#, nil),
        (
            #"{"name": "äöüßé", "age": null, "tags": ["a", "b"], "more": {"x": 0.5, "y": true}}"#,
            nil
        ),
        (#"{"name": "ann", "age": 5.0}"#, nil),
        ("[]", "the body must be an object"),
        ("{}", "name must be there: a text of from 1 to 5 printable characters"),
        (#"{"name": ""}"#, "name must be a text of from 1 to 5 printable characters"),
        (#"{"name": "a\nb"}"#, "name must be a text of from 1 to 5 printable characters"),
        (#"{"name": "ann", "age": 151}"#, "age must be a whole number from 0 to 150"),
        (#"{"name": "ann", "age": 1.5}"#, "age must be a whole number from 0 to 150"),
        (#"{"name": "ann", "tags": ["a", "c"]}"#, "tags[1] must be one of a, b"),
        (#"{"name": "ann", "tags": "a"}"#, "tags must be a list of at most 2, each one of a, b"),
        (
            #"{"name": "ann", "more": {"x": 2}}"#,
            "more.x must be true or false, or a number from 0.0 to 1.0"
        ),
        (
            #"{"name": "ann", "nam": 1}"#,
            "nam must be left out: it is none of name, age, tags, more"
        ),
    ])
    func aMismatchIsToldWithItsPlace(text: String, expected: String?) throws {
        let value = try JSONValue(parsing: text)
        do throws(JSONSchema.Mismatch) {
            try person.check(value)
            #expect(expected == nil)
        } catch {
            #expect(error.description == expected)
        }
    }

    @Test func textsThatNoDatabaseStoresAreRefusedEverywhere() throws {
        let value = try JSONValue(parsing: #"{"a": ["\u0000"]}"#)
        #expect(!JSONSchema.map(.any).allows(value))
        #expect(!JSONSchema.text(.free, 0...9).allows(.string("\0")))
        #expect(JSONSchema.map(.any).allows(try JSONValue(parsing: #"{"a": ["x"]}"#)))
    }

    @Test func itIsWrittenAsJSONSchema() {
        #expect(
            person.json
                == [
                    "type": "object",
                    "properties": [
                        "name": [
                            "type": "string", "minLength": 1, "maxLength": 5,
                            "pattern": "^[^\\u0000-\\u001f\\u007f]*$",
                        ],
                        "age": [
                            "anyOf": [
                                ["type": "integer", "minimum": 0, "maximum": 150],
                                ["type": "null"],
                            ]
                        ],
                        "tags": [
                            "type": "array", "items": ["type": "string", "enum": ["a", "b"]],
                            "maxItems": 2,
                        ],
                        "more": [
                            "type": "object",
                            "additionalProperties": [
                                "anyOf": [
                                    ["type": "boolean"],
                                    ["type": "number", "minimum": 0.0, "maximum": 1.0],
                                ]
                            ],
                        ],
                    ],
                    "required": ["name"], "additionalProperties": false,
                ])
    }
}
