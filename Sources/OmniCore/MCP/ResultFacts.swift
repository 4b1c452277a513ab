/// What the gateway has to know about a result before it passes the bytes on, in one pass.
public struct ResultFacts: Hashable, Sendable {
    public enum Completeness: UInt8, Hashable, Sendable {
        /// Absent `resultType` means complete.
        case complete
        /// The server asks the client something first.
        case inputRequired
        /// A handle instead of an answer.
        case task
        /// Of an extension we do not know.
        case other
    }

    public enum ListScope: UInt8, Hashable, Sendable { case open, personal }

    public var whole: ByteRange
    public var completeness = Completeness.complete
    public var isError = false
    /// How long a list or resource may be kept; only non-negative integers count.
    public var ttlMilliseconds: Int64?
    /// `public` is `open`; anything else, and nothing, is `personal`.
    public var listScope = ListScope.personal
    /// A string, with quotes.
    public var nextCursor: ByteRange?
    public var content: ByteRange?
    public var structuredContent: ByteRange?
    public var meta: ByteRange?
    /// `resultType`, `ttlMs` or `cacheScope` is there.
    public var hasModernMembers = false

    public static func read(_ result: ByteRange, in bytes: RawSpan) -> ResultFacts {
        var facts = ResultFacts(whole: result)
        var members = JSONMembers(of: result, in: bytes)
        while let member = members.next(in: bytes) { facts.note(member, in: bytes) }
        return facts
    }

    private init(whole: ByteRange) { self.whole = whole }

    private mutating func note(_ member: JSONMember, in bytes: RawSpan) {
        let value = member.value
        if member.isNamed("content", in: bytes) {
            content = value
        } else if member.isNamed("structuredContent", in: bytes) {
            structuredContent = value
        } else if member.isNamed("isError", in: bytes) {
            isError = JSONScanner.bool(value, in: bytes) ?? false
        } else if member.isNamed("resultType", in: bytes) {
            hasModernMembers = true
            completeness = Self.completeness(value, in: bytes)
        } else if member.isNamed("task", in: bytes) {
            // 2025-11-25: a task handle has no resultType.
            if JSONScanner.kind(of: value, in: bytes) == .object { completeness = .task }
        } else if member.isNamed("ttlMs", in: bytes) {
            hasModernMembers = true
            ttlMilliseconds = JSONScanner.int(value, in: bytes).flatMap { $0 >= 0 ? $0 : nil }
        } else if member.isNamed("cacheScope", in: bytes) {
            hasModernMembers = true
            listScope = JSONScanner.equals(value, "public", in: bytes) ? .open : .personal
        } else if member.isNamed("nextCursor", in: bytes) {
            nextCursor = JSONScanner.kind(of: value, in: bytes) == .string ? value : nil
        } else if member.isNamed("_meta", in: bytes) {
            meta = value
        }
    }

    private static func completeness(_ value: ByteRange, in bytes: RawSpan) -> Completeness {
        if JSONScanner.equals(value, "complete", in: bytes) { return .complete }
        if JSONScanner.equals(value, "input_required", in: bytes) { return .inputRequired }
        return JSONScanner.equals(value, "task", in: bytes) ? .task : .other
    }
}
