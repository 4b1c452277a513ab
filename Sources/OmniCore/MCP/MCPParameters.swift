/// The members of a request's `params` that the gateway routes by, found in one pass.
public struct MCPParameters: Hashable, Sendable {
    /// A string, with quotes.
    public var name: ByteRange?
    /// A string, with quotes.
    public var uri: ByteRange?
    public var arguments: ByteRange?
    /// A string, with quotes.
    public var cursor: ByteRange?
    /// A string, with quotes.
    public var taskID: ByteRange?
    /// The request's `_meta` object.
    public var meta: RequestMeta?
    /// Present on the second leg of a call that asked the client something (2026-07-28).
    public var inputResponses: ByteRange?
    public var requestState: ByteRange?
    /// The caller wants a task instead of an answer (2025-11-25).
    public var task: ByteRange?

    public init() {}

    /// No params read as empty ones.
    ///
    /// - Throws: -32602 when a member we route by occurs twice, or has the wrong type.
    public static func read(
        _ params: ByteRange?, in bytes: RawSpan
    ) throws(RPCFailure) -> MCPParameters {
        var parameters = MCPParameters()
        guard let params else { return parameters }
        var members = JSONMembers(of: params, in: bytes)
        while let member = members.next(in: bytes) {
            try parameters.note(member, in: bytes)
        }
        return parameters
    }

    private mutating func note(_ member: JSONMember, in bytes: RawSpan) throws(RPCFailure) {
        let value = member.value
        if member.isNamed("name", in: bytes) {
            try Self.put(value, .string, into: &name, bytes, .missingName)
        } else if member.isNamed("uri", in: bytes) {
            try Self.put(value, .string, into: &uri, bytes, .missingURI)
        } else if member.isNamed("arguments", in: bytes) {
            if arguments != nil { throw RPCFailure(.invalidParams, .duplicateMember) }
            if JSONScanner.isNull(value, in: bytes) { return }
            try Self.put(value, .object, into: &arguments, bytes, .badParams)
        } else if member.isNamed("cursor", in: bytes) {
            if JSONScanner.isNull(value, in: bytes) { return }
            try Self.put(value, .string, into: &cursor, bytes, .badCursor)
        } else if member.isNamed("taskId", in: bytes) {
            try Self.put(value, .string, into: &taskID, bytes, .badParams)
        } else if member.isNamed("_meta", in: bytes) {
            if meta != nil { throw RPCFailure(.invalidParams, .duplicateMember) }
            if JSONScanner.isNull(value, in: bytes) { return }
            guard JSONScanner.kind(of: value, in: bytes) == .object else {
                throw RPCFailure(.invalidParams, .badEnvelope)
            }
            meta = try RequestMeta.read(value, in: bytes)
        } else if member.isNamed("inputResponses", in: bytes) {
            inputResponses = value
        } else if member.isNamed("requestState", in: bytes) {
            requestState = value
        } else if member.isNamed("task", in: bytes) {
            task = value
        }
    }

    private static func put(
        _ value: ByteRange, _ kind: JSONKind, into place: inout ByteRange?, _ bytes: RawSpan,
        _ reason: RPCFailure.Reason
    ) throws(RPCFailure) {
        if place != nil { throw RPCFailure(.invalidParams, .duplicateMember) }
        guard JSONScanner.kind(of: value, in: bytes) == kind else {
            throw RPCFailure(.invalidParams, reason)
        }
        place = value
    }
}

/// The `_meta` of a request: what steers it on its way, by ranges.
public struct RequestMeta: Hashable, Sendable {
    public var whole: ByteRange
    /// A string or an integer, raw.
    public var progressToken: ByteRange?
    /// Strings, with quotes.
    public var traceparent: ByteRange?
    public var tracestate: ByteRange?
    public var baggage: ByteRange?
    public var protocolVersion: ByteRange?
    public var logLevel: ByteRange?
    /// Objects.
    public var clientInfo: ByteRange?
    public var clientCapabilities: ByteRange?

    /// - Throws: -32602 when one of our members occurs twice or has the wrong type.
    public static func read(
        _ meta: ByteRange, in bytes: RawSpan
    ) throws(RPCFailure) -> RequestMeta {
        var read = RequestMeta(whole: meta)
        var members = JSONMembers(of: meta, in: bytes)
        while let member = members.next(in: bytes) {
            try read.note(member, in: bytes)
        }
        return read
    }

    private init(whole: ByteRange) { self.whole = whole }

    private mutating func note(_ member: JSONMember, in bytes: RawSpan) throws(RPCFailure) {
        let kind = JSONScanner.kind(of: member.value, in: bytes)
        func put(_ isTyped: Bool, _ place: inout ByteRange?) throws(RPCFailure) {
            guard isTyped else { throw RPCFailure(.invalidParams, .badEnvelope) }
            if place != nil { throw RPCFailure(.invalidParams, .duplicateMember) }
            place = member.value
        }
        if member.isNamed("progressToken", in: bytes) {
            try put(kind == .string || kind == .number, &progressToken)
        } else if member.isNamed("traceparent", in: bytes) {
            // Foreign to the protocol's own rules: a bad one is ignored, as W3C tells us to.
            if kind == .string { traceparent = member.value }
        } else if member.isNamed("tracestate", in: bytes) {
            if kind == .string { tracestate = member.value }
        } else if member.isNamed("baggage", in: bytes) {
            if kind == .string { baggage = member.value }
        } else if member.isNamed("io.modelcontextprotocol/protocolVersion", in: bytes) {
            try put(kind == .string, &protocolVersion)
        } else if member.isNamed("io.modelcontextprotocol/clientInfo", in: bytes) {
            try put(kind == .object, &clientInfo)
        } else if member.isNamed("io.modelcontextprotocol/clientCapabilities", in: bytes) {
            try put(kind == .object, &clientCapabilities)
        } else if member.isNamed("io.modelcontextprotocol/logLevel", in: bytes) {
            try put(kind == .string, &logLevel)
        }
    }
}
