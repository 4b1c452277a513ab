/// For whom a cached result may be used again.
public enum CacheScope: Hashable, Sendable {
    /// Everybody: the registry says the answer does not depend on the caller.
    case shared
    case role(String)
    /// The user's id as text.
    case user(String)
}

/// The bytes a cache key is the SHA-256 of. Who hashes them is not this layer's business.
///
/// Two derivations: the original's (`compatible`), which names shared entries the way its own tools
/// expect although `"a:b","c"` and `"a","b:c"` collide in it, and ours (`native`), where every field
/// carries its length and nothing collides.
public struct CacheKeyInput: Sendable {
    /// First byte of every native key; changes with the layout.
    public static let nativeVersion: UInt8 = 1

    private var canonicalizer = JSONCanonicalizer()

    public init() {}

    /// `{mcp}:{tool}:{json}`; no arguments count as `{}`.
    public mutating func compatible(
        mcp: String, tool: String, arguments: ByteRange?, in bytes: RawSpan
    ) -> [UInt8] {
        var input: [UInt8] = []
        input.reserveCapacity(mcp.utf8.count + tool.utf8.count + 2 * (arguments?.count ?? 2) + 2)
        input.append(contentsOf: mcp.utf8)
        input.append(UInt8(ascii: ":"))
        input.append(contentsOf: tool.utf8)
        input.append(UInt8(ascii: ":"))
        if let arguments {
            canonicalizer.append(arguments, in: bytes, as: .python, to: &input)
        } else {
            input.append("{}")
        }
        return input
    }

    /// Everything an answer may depend on, each field preceded by its length.
    ///
    /// - Parameters:
    ///   - epoch: rises with every reconnect, list_changed and registry change of the server.
    ///   - meta: the request's `_meta`. What only steers transport, tracing or progress is left out.
    public mutating func native(
        server: String, epoch: UInt64, tool: String, arguments: ByteRange?, meta: ByteRange?,
        in bytes: RawSpan, scope: CacheScope
    ) -> [UInt8] {
        var input: [UInt8] = [Self.nativeVersion]
        input.reserveCapacity(128 + (arguments?.count ?? 2) + (meta?.count ?? 2))
        Self.append(server, to: &input)
        Self.append(bigEndian: epoch, to: &input)
        Self.append(tool, to: &input)
        switch scope {
        case .shared:
            input.append(0)
            Self.append("", to: &input)
        case .role(let role):
            input.append(1)
            Self.append(role, to: &input)
        case .user(let user):
            input.append(2)
            Self.append(user, to: &input)
        }
        appendObject(arguments, in: bytes, without: [], to: &input)
        appendObject(meta, in: bytes, without: Self.metaWithoutEffect, to: &input)
        return input
    }

    private mutating func appendObject(
        _ object: ByteRange?, in bytes: RawSpan, without names: [StaticString],
        to input: inout [UInt8]
    ) {
        let start = input.count
        Self.append(bigEndian: 0, to: &input)
        let textStart = input.count
        if let object, JSONScanner.kind(of: object, in: bytes) == .object {
            canonicalizer.appendObject(
                object, in: bytes, as: .python, without: names, to: &input)
        } else if let object, JSONScanner.kind(of: object, in: bytes) != .null {
            canonicalizer.append(object, in: bytes, as: .python, to: &input)
        } else {
            input.append("{}")
        }
        let count = UInt64(input.count - textStart)
        for index in 0..<8 {
            input[start + index] = UInt8(truncatingIfNeeded: count >> UInt64(56 - 8 * index))
        }
    }

    private static func append(_ text: String, to input: inout [UInt8]) {
        append(bigEndian: UInt64(text.utf8.count), to: &input)
        input.append(contentsOf: text.utf8)
    }

    private static func append(bigEndian value: UInt64, to input: inout [UInt8]) {
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            input.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Members of `_meta` that never change an answer.
    private static let metaWithoutEffect: [StaticString] = [
        "progressToken", "traceparent", "tracestate", "baggage",
        "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientInfo",
        "io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/logLevel",
    ]
}
