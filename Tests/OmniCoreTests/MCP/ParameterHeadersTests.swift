import OmniCore
import Testing

@Suite("ParameterHeaders")
struct ParameterHeadersTests {
    private let schema: JSONValue = [
        "type": "object",
        "properties": [
            "region": ["type": "string", "x-mcp-header": "Region"],
            "shard": [
                "type": "object",
                "properties": ["id": ["type": "integer", "x-mcp-header": "Shard"]],
            ],
            "dry": ["type": "boolean", "x-mcp-header": "Dry-Run"],
            "free": ["type": "string"],
            "x-mcp-header": ["type": "string"],
        ],
    ]

    private func values(_ json: String) throws -> [String: String] {
        let headers = try ParameterHeaders(inputSchema: schema)
        let text = TestText(json)
        return text.with { span in
            Dictionary(
                uniqueKeysWithValues: headers.values(arguments: text.whole, in: span).map {
                    ($0.name, $0.value)
                })
        }
    }

    @Test func markedArgumentsBecomeHeaders() throws {
        #expect(
            try values(#"{"region":"eu","shard":{"id":7},"dry":true,"free":"x"}"#)
                == ["Mcp-Param-Region": "eu", "Mcp-Param-Shard": "7", "Mcp-Param-Dry-Run": "true"])
        #expect(try values(#"{"region":null,"shard":1}"#) == [:])
        #expect(try values(#"{"region":"é"}"#) == ["Mcp-Param-Region": "=?base64?w6k=?="])
    }

    @Test func headersAreComparedWithTheArguments() throws {
        let headers = try ParameterHeaders(inputSchema: schema)
        let text = TestText(#"{"region":"eu","dry":false}"#)
        func agree(_ sent: [String: String]) -> Bool {
            text.with { span in
                headers.agree(arguments: text.whole, in: span) { sent[$0] }
            }
        }
        #expect(agree(["Mcp-Param-Region": "eu", "Mcp-Param-Dry-Run": "false"]))
        #expect(agree(["Mcp-Param-Region": "=?base64?ZXU=?=", "Mcp-Param-Dry-Run": "false"]))
        #expect(!agree(["Mcp-Param-Region": "us", "Mcp-Param-Dry-Run": "false"]))
        #expect(!agree(["Mcp-Param-Region": "eu"]))
        #expect(
            !agree(["Mcp-Param-Region": "eu", "Mcp-Param-Dry-Run": "false", "Mcp-Param-Shard": "1"])
        )
    }

    static let broken: [(JSONValue, ParameterHeaders.SchemaError)] = [
        (["properties": ["a": ["type": "string", "x-mcp-header": ""]]], .badName),
        (["properties": ["a": ["type": "string", "x-mcp-header": "a b"]]], .badName),
        (["properties": ["a": ["type": "string", "x-mcp-header": 1]]], .badName),
        (["properties": ["a": ["type": "number", "x-mcp-header": "A"]]], .badType),
        (["properties": ["a": ["type": "object", "x-mcp-header": "A"]]], .badType),
        (["properties": ["a": ["x-mcp-header": "A"]]], .badType),
        (
            [
                "properties": [
                    "a": ["type": "string", "x-mcp-header": "A"],
                    "b": ["type": "string", "x-mcp-header": "a"],
                ]
            ], .duplicateName
        ),
        (["type": "string", "x-mcp-header": "A"], .unreachable),
        (
            ["properties": ["a": ["items": ["type": "string", "x-mcp-header": "A"]]]], .unreachable
        ),
        (
            ["anyOf": [["properties": ["a": ["type": "string", "x-mcp-header": "A"]]]]],
            .unreachable
        ),
    ]

    @Test(arguments: broken)
    func aToolThatBreaksTheRulesIsRecognised(
        _ schema: JSONValue, _ error: ParameterHeaders.SchemaError
    ) {
        #expect(throws: error) { try ParameterHeaders(inputSchema: schema) }
    }

    @Test func examplesAndDefaultsAreNotSchemas() throws {
        let schema: JSONValue = ["default": ["x-mcp-header": "A"], "properties": [:]]
        #expect(try ParameterHeaders(inputSchema: schema).headers.isEmpty)
    }
}
