/// What a completion is about, packed in the 64 bits the kernel hands back:
/// kind 8 bits · generation 24 · slot 32.
public struct CompletionToken: Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public init(kind: UInt8, generation: UInt32, slot: UInt32) {
        rawValue = UInt64(kind) << 56 | UInt64(generation & 0xFF_FFFF) << 32 | UInt64(slot)
    }

    public var kind: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 56) }
    public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) & 0xFF_FFFF }
    public var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    /// Kinds below this one belong to the loop itself; owners of hot completions use the rest.
    public static let firstHotKind: UInt8 = 16

    static let awaitedKind: UInt8 = 1
    static let awaitedTimerKind: UInt8 = 2
    static let wakeKind: UInt8 = 3
    /// A message to another ring that failed.
    static let unrungKind: UInt8 = 4
    /// Nobody waits for the outcome (a close, a cancel): it is dropped on arrival.
    static let ignored = CompletionToken(kind: 0, generation: 0, slot: 0)
}

/// One finished operation, copied out of the completion queue.
public struct Completion: Sendable {
    public let token: CompletionToken
    /// Zero or positive: the operation's result. Negative: -errno.
    public let result: Int32
    let flags: UInt32

    public init(token: CompletionToken, result: Int32, flags: UInt32 = 0) {
        self.token = token
        self.result = result
        self.flags = flags
    }
}

/// Some that came one after the other.
public typealias Completions = Span<Completion>

extension Completions {
    /// The completions from `start` on that are of one kind.
    public func run(from start: Int) -> Range<Int> {
        var end = start + 1
        while end < count, self[end].token.kind == self[start].token.kind { end += 1 }
        return start..<end
    }
}
