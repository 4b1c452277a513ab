/// What a server says about one of its tools. Hints of a peer: they may close a door, never open it.
public struct ToolAnnotations: Hashable, Sendable {
    /// nil: not said. The specification's defaults are in the properties without "said".
    public var saidReadOnly: Bool?
    public var saidDestructive: Bool?
    public var saidIdempotent: Bool?
    public var saidOpenWorld: Bool?

    public init(
        readOnly: Bool? = nil, destructive: Bool? = nil, idempotent: Bool? = nil,
        openWorld: Bool? = nil
    ) {
        saidReadOnly = readOnly
        saidDestructive = destructive
        saidIdempotent = idempotent
        saidOpenWorld = openWorld
    }

    /// From a tool of `tools/list`.
    public init(tool: ByteRange, in bytes: RawSpan) {
        self.init()
        guard let annotations = JSONScanner.member("annotations", of: tool, in: bytes) else {
            return
        }
        func hint(_ name: StaticString) -> Bool? {
            JSONScanner.bool(JSONScanner.member(name, of: annotations, in: bytes), in: bytes)
        }
        saidReadOnly = hint("readOnlyHint")
        saidDestructive = hint("destructiveHint")
        saidIdempotent = hint("idempotentHint")
        saidOpenWorld = hint("openWorldHint")
    }

    public var isReadOnly: Bool { saidReadOnly ?? false }
    /// Means something only for a tool that is not read-only.
    public var isDestructive: Bool { saidDestructive ?? true }
    public var isIdempotent: Bool { saidIdempotent ?? false }
    public var isOpenWorld: Bool { saidOpenWorld ?? true }
}
