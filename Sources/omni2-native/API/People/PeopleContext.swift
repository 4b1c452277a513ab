import OmniCore
import OmniIO

/// What the routes about people share: a change is written, read back into `Access`, recorded, and
/// only then answered, so that whoever reads the answer finds the change in force.
struct PeopleContext {
    let io: any IO
    let store: any AccessStore
    let access: Access
    let keeper: AccessKeeper
    let log: Log
    /// Somebody was blocked: sockets close at once, on other hosts too.
    let blocked: (UserBlock) -> Void

    var snapshot: AccessSnapshot { access.snapshot }

    func run(
        _ call: Router.Call, _ noun: String,
        _ body: @escaping () async throws(StoreError) -> Void
    ) {
        io.spawn {
            do throws(StoreError) {
                try await body()
            } catch {
                call.fail(error, log, absent: "There is no \(noun) with this id.")
            }
        }
    }

    /// Makes a change take effect and records it.
    func settle(
        _ call: Router.Call, _ action: String, _ target: String
    ) async throws(StoreError) {
        try await keeper.read()
        access.audit.done(call.exchange, by: call.principal, action, target)
    }

    func person(_ call: Router.Call) -> Person? {
        guard let id = call.rowID("user") else { return nil }
        if let person = snapshot.person(id) { return person }
        call.fail(.notFound, "There is no user with this id.")
        return nil
    }
}

extension Router.Call {
    /// `{id}` of the path; answers 404 itself when no row can have it.
    func rowID(_ noun: String, _ name: String = "id") -> Int? {
        guard let id = Int(self[name]), id > 0, id <= Int(Int32.max) else {
            fail(.notFound, "There is no \(noun) with this id.")
            return nil
        }
        return id
    }
}

/// Members as bodies and replies have them.
enum PeopleSchema {
    static let name = JSONSchema.text(.printable, 1...50)
    static let servers = JSONSchema.list(.text(.printable, 1...100), 0...1000)
    static let rate = JSONSchema.nullable(.integer(0...1_000_000_000))
    static let dollars = JSONSchema.nullable(.number(0...10_000_000))
    static let services = JSONSchema.list(.word(["chat", "mcp"]), 0...2)
    /// Any of the dialects: by server a list, lists by kind, a word, a flag.
    static let restrictions = JSONSchema.described(
        .map(
            .either([
                .list(.text(.printable, 0...255), 0...10_000),
                .object(
                    [
                        .optional("tools", .list(.text(.printable, 0...255), 0...10_000)),
                        .optional("resources", .list(.text(.printable, 0...2000), 0...10_000)),
                        .optional("prompts", .list(.text(.printable, 0...255), 0...10_000)),
                    ], isOpen: false),
                .object(
                    [
                        .optional("denied_tools", .list(.text(.printable, 0...255), 0...10_000)),
                        .optional(
                            "denied_resources", .list(.text(.printable, 0...2000), 0...10_000)),
                        .optional("denied_prompts", .list(.text(.printable, 0...255), 0...10_000)),
                    ], isOpen: false),
                .object(
                    [
                        .required("mode", .word(["all", "none", "allow", "deny"])),
                        .optional("tools", .list(.text(.printable, 0...255), 0...10_000)),
                    ], isOpen: false),
            ])),
        "By server: which tools, resources and prompts. A server that is not named is unrestricted."
    )

    static let person = JSONSchema.object(
        [
            .required("id", .id), .required("username", .shortText),
            .required("name", .nullable(.shortText)), .required("email", .nullable(.shortText)),
            .required("role", .nullable(.shortText)), .required("active", .boolean),
            .required("rate_limit_override", rate), .required("is_blocked", .boolean),
        ], isOpen: true)
    static let role = JSONSchema.object(
        [
            .required("id", .id), .required("name", .shortText),
            .required("mcp_access", .list(.text(.free, 0...1000), 0...100_000)),
            .required("dashboard_access", .text(.printable, 0...20)),
        ], isOpen: true)
    static let team = JSONSchema.object(
        [
            .required("id", .id), .required("name", .shortText),
            .required("mcp_access", .list(.text(.free, 0...1000), 0...100_000)),
            .required("members", .list(.id, 0...1_000_000)),
        ], isOpen: true)
    static let done = JSONSchema.reply(.required("message", .text(.free, 0...1000)))
}
