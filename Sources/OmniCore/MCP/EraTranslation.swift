/// What has to be added to or taken from a result when its two sides speak different eras.
///
/// The content is the same in both; the stateless era wants a `resultType`, the server's name in
/// `_meta`, and on lists and resources how long they may be kept.
public enum EraTranslation {
    /// How long and for whom a list or a resource may be kept.
    public struct Freshness: Hashable, Sendable {
        public var timeToLiveMilliseconds: Int64
        public var scope: ResultFacts.ListScope

        public init(timeToLiveMilliseconds: Int64, scope: ResultFacts.ListScope) {
            self.timeToLiveMilliseconds = timeToLiveMilliseconds
            self.scope = scope
        }

        /// What a result of the handshake era is worth: nothing is known, so ask again.
        public static let unknown = Freshness(timeToLiveMilliseconds: 0, scope: .personal)
    }

    /// Methods whose modern results must say how fresh they are.
    public static func needsFreshness(_ method: MCPMethod) -> Bool {
        switch method {
        case .discover, .listTools, .listPrompts, .listResources, .listResourceTemplates,
            .readResource:
            true
        default: false
        }
    }

    /// Edits that turn a result into one of the stateless era. A result that is one already keeps
    /// what it says, and one that is no object is passed on as it is.
    public static func toModern(
        _ facts: ResultFacts, of method: MCPMethod, server: [UInt8], freshness: Freshness,
        in bytes: RawSpan
    ) -> JSONSplice {
        var splice = JSONSplice()
        var changes: [JSONSplice.Change] = []
        if JSONScanner.member("resultType", of: facts.whole, in: bytes) == nil {
            changes.append(.init("resultType", value: .string(facts.completeness.text)))
        }
        if needsFreshness(method) {
            let saysHowLong = facts.ttlMilliseconds != nil
            if !saysHowLong {
                changes.append(.init("ttlMs", value: .int(freshness.timeToLiveMilliseconds)))
            }
            if !saysHowLong || JSONScanner.member("cacheScope", of: facts.whole, in: bytes) == nil {
                // Our scope belongs to our time; next to a foreign one only the narrow is safe.
                let isOpen = !saysHowLong && freshness.scope == .open
                changes.append(.init("cacheScope", value: isOpen ? "public" : "private"))
            }
        }
        let serverInfo = JSONSplice.Change(ModernMeta.serverInfo, server)
        if let meta = facts.meta, JSONScanner.kind(of: meta, in: bytes) == .object {
            splice.edit(meta, in: bytes, [serverInfo])
        } else {
            var meta = JSONWriter()
            meta.object { $0.member(ModernMeta.serverInfo, raw: server) }
            changes.append(.init("_meta", meta.take()))
        }
        if !changes.isEmpty { splice.edit(facts.whole, in: bytes, changes) }
        return splice
    }

    /// Edits that take away what only the stateless era knows; none where there is nothing of it.
    /// A result that asks something first has no form there: the gateway has to ask instead.
    public static func toHandshake(_ facts: ResultFacts, in bytes: RawSpan) -> JSONSplice? {
        guard facts.completeness != .inputRequired else { return nil }
        var splice = JSONSplice()
        if let meta = facts.meta, JSONScanner.kind(of: meta, in: bytes) == .object,
            JSONScanner.member(ModernMeta.serverInfo, of: meta, in: bytes) != nil
        {
            splice.edit(meta, in: bytes, [.removal(of: ModernMeta.serverInfo)])
        }
        if facts.hasModernMembers {
            splice.edit(
                facts.whole, in: bytes,
                [.removal(of: "resultType"), .removal(of: "ttlMs"), .removal(of: "cacheScope")])
        }
        return splice
    }
}

extension ResultFacts.Completeness {
    /// As `resultType` says it.
    var text: String {
        switch self {
        case .complete, .other: "complete"
        case .inputRequired: "input_required"
        case .task: "task"
        }
    }
}
