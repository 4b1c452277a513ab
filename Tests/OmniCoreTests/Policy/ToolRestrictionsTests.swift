import OmniCore
import Testing

@Suite("ToolRestrictions")
struct ToolRestrictionsTests {
    private func access(_ json: String) throws -> ToolRestrictions.Server {
        try ToolRestrictions(try JSONValue(parsing: json)).access(to: "git")
    }

    static let dialects: [(String, Bool, Bool, Bool)] = [
        // (restrictions, may call log, may call push, may read resources)
        ("null", true, true, true), ("{}", true, true, true), (#""""#, true, true, true),
        (#"{"db":["q"]}"#, true, true, true), (#"{"git":["*"]}"#, true, true, true),
        (#"{"git":["log"]}"#, true, false, true), (#"{"git":[]}"#, false, false, false),
        (#"{"git":null}"#, true, true, true), (#"{"git":"*"}"#, true, true, true),
        (#"{"git":"none"}"#, false, false, false),
        (#"{"git":{"tools":["log"]}}"#, true, false, true),
        (#"{"git":{"tools":["*"],"resources":[]}}"#, true, true, false),
        (#"{"git":{"resources":["r"]}}"#, true, true, true),
        (#"{"git":{"tools":[],"resources":["other"]}}"#, false, false, false),
        (#"{"git":{"mode":"all"}}"#, true, true, true),
        (#"{"git":{"mode":"none"}}"#, false, false, false),
        (#"{"git":{"mode":"allow","tools":["log"]}}"#, true, false, true),
        (#"{"git":{"mode":"allow","allowed_tools":["log"]}}"#, true, false, true),
        (#"{"git":{"mode":"allow"}}"#, false, false, true),
        (#"{"git":{"mode":"deny","tools":["push"]}}"#, true, false, true),
        (#"{"git":{"mode":"deny","denied_tools":["push"]}}"#, true, false, true),
        (#"{"git":{"mode":"deny","tools":["*"]}}"#, false, false, true),
        (#""{\"git\":[\"log\"]}""#, true, false, true),
    ]

    @Test(arguments: dialects) func everyDialectIsUnderstood(
        _ json: String, _ log: Bool, _ push: Bool, _ read: Bool
    ) throws {
        let server = try access(json)
        #expect(server.tools.mayUse("log") == log)
        #expect(server.tools.mayUse("push") == push)
        #expect(server.resources.mayUse("r") == read)
    }

    @Test(arguments: dialects) func whatIsWrittenReadsBackTheSame(
        _ json: String, _: Bool, _: Bool, _: Bool
    ) throws {
        let read = try ToolRestrictions(try JSONValue(parsing: json))
        let again = try ToolRestrictions(read.json)
        #expect(again.access(to: "git") == read.access(to: "git"))
        #expect(try ToolRestrictions(.string(read.json.text)) == again)
    }

    static let errors: [(String, ToolRestrictions.ReadError)] = [
        (#""{""#, .notJSON), (#""\"{}\"""#, .notJSON), ("[]", .notAnObject), ("1", .notAnObject),
        (#"{"git":1}"#, .unknownDialect(server: "git")),
        (#"{"git":[1]}"#, .unknownDialect(server: "git")),
        (#"{"git":{"tools":"log"}}"#, .unknownDialect(server: "git")),
        (#"{"git":{"mode":"maybe"}}"#, .unknownDialect(server: "git")),
        (#"{"ok":[],"git":"x"}"#, .unknownDialect(server: "git")),
    ]

    @Test(arguments: errors) func whatCannotBeUnderstoodIsNoPermission(
        _ json: String, _ error: ToolRestrictions.ReadError
    ) throws {
        let value = try JSONValue(parsing: json)
        #expect(throws: error) { try ToolRestrictions(value) }
    }

    @Test func accessNeedsTheServerAndTheTool() throws {
        let restrictions = try ToolRestrictions(["git": ["log"], "db": []])
        let role = EffectiveAccess(
            servers: ServerAccess(["git", "db"]), restrictions: restrictions)
        #expect(role.mayCall(tool: "log", on: "git"))
        #expect(!role.mayCall(tool: "push", on: "git"))
        #expect(!role.mayCall(tool: "q", on: "db"))
        #expect(!role.mayCall(tool: "now", on: "time"))
        #expect(role.maySee(server: "db"))
        #expect(!role.maySee(server: "time"))
        #expect(role.mayRead(resource: "x", on: "git"))
        #expect(!role.mayRead(resource: "x", on: "db"))
        #expect(!role.mayGet(prompt: "p", on: "db"))
        #expect(EffectiveAccess.everything.mayCall(tool: "x", on: "y"))
        #expect(!EffectiveAccess.nothing.mayCall(tool: "x", on: "y"))
        #expect(ServerAccess(["a", "*"]) == .all)
        #expect(ServerAccess([]) == .none)
    }
}
