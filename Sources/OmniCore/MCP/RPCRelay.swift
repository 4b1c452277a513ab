/// Messages that cross the gateway: same content, other identities.
///
/// A request gets our id, the server's own name for the tool, prompt or resource, and a progress
/// token of ours; what comes back gets the client's again. Everything else is the bytes that came.
public enum RPCRelay {
    /// What is different on the other side.
    public struct RequestChanges: Sendable {
        /// Ours, unique among the requests under way at this upstream.
        public var id: Int64
        /// Replaces `params.name`.
        public var name: String?
        /// Replaces `params.uri`.
        public var uri: String?
        /// Ours; used only when the client sent a token of its own, for who did not ask for
        /// progress must not get any.
        public var progressToken: Int64?
        /// More changes to `_meta`: the envelope on or off, trace context.
        public var meta: [JSONSplice.Change]

        public init(
            id: Int64, name: String? = nil, uri: String? = nil, progressToken: Int64? = nil,
            meta: [JSONSplice.Change] = []
        ) {
            self.id = id
            self.name = name
            self.uri = uri
            self.progressToken = progressToken
            self.meta = meta
        }
    }

    /// Appends a client's request as the upstream shall see it.
    public static func request(
        _ message: RPCMessage, _ parameters: MCPParameters, in bytes: RawSpan,
        _ changes: RequestChanges, to output: inout [UInt8]
    ) {
        precondition(message.kind == .request, "only a request is relayed as one")
        var splice = JSONSplice()
        if let name = changes.name, let range = parameters.name {
            splice.replace(range, with: JSONValue.string(name).bytes)
        }
        if let uri = changes.uri, let range = parameters.uri {
            splice.replace(range, with: JSONValue.string(uri).bytes)
        }
        var meta = changes.meta
        if parameters.meta?.progressToken != nil {
            let token = changes.progressToken.map { JSONValue.int($0).bytes }
            meta.append(JSONSplice.Change("progressToken", token))
        }
        output.append("{\"jsonrpc\":\"2.0\",\"id\":")
        JSONNumber.append(changes.id, to: &output)
        output.append(",\"method\":")
        if let method = message.method { output.append(method, of: bytes) }
        if let params = message.params {
            output.append(",\"params\":")
            if !meta.isEmpty { splice.editMeta(of: params, in: bytes, meta) }
            splice.append(params, of: bytes, to: &output)
        } else if meta.contains(where: { $0.json != nil }) {
            output.append(",\"params\":")
            output.append(contentsOf: emptyParams(meta))
        }
        output.append(UInt8(ascii: "}"))
    }

    /// Appends `notifications/progress` of an upstream with the client's token (raw JSON).
    /// False, and nothing appended, when it carries no token.
    public static func progress(
        _ message: RPCMessage, token: [UInt8], in bytes: RawSpan, to output: inout [UInt8]
    ) -> Bool {
        notification(message, replacing: "progressToken", with: token, in: bytes, to: &output)
    }

    /// Appends `notifications/cancelled` with the id the other side knows (raw JSON).
    /// False, and nothing appended, when it names no request.
    public static func cancelled(
        _ message: RPCMessage, requestID: [UInt8], in bytes: RawSpan, to output: inout [UInt8]
    ) -> Bool {
        notification(message, replacing: "requestId", with: requestID, in: bytes, to: &output)
    }

    /// The upstream's token, which is always one of our integers; nil when it is not.
    public static func progressToken(_ message: RPCMessage, in bytes: RawSpan) -> Int64? {
        guard let params = message.params else { return nil }
        return JSONScanner.int(
            JSONScanner.member("progressToken", of: params, in: bytes), in: bytes)
    }

    /// The raw id of the request a `notifications/cancelled` is about.
    public static func cancelledRequest(_ message: RPCMessage, in bytes: RawSpan) -> ByteRange? {
        message.params.flatMap { JSONScanner.member("requestId", of: $0, in: bytes) }
    }

    private static func notification(
        _ message: RPCMessage, replacing name: StaticString, with json: [UInt8],
        in bytes: RawSpan, to output: inout [UInt8]
    ) -> Bool {
        guard let params = message.params, let method = message.method,
            JSONScanner.member(name, of: params, in: bytes) != nil
        else { return false }
        var splice = JSONSplice()
        splice.edit(params, in: bytes, [JSONSplice.Change(name, json)])
        output.append("{\"jsonrpc\":\"2.0\",\"method\":")
        output.append(method, of: bytes)
        output.append(",\"params\":")
        splice.append(params, of: bytes, to: &output)
        output.append(UInt8(ascii: "}"))
        return true
    }

    private static func emptyParams(_ meta: [JSONSplice.Change]) -> [UInt8] {
        Array("{}".utf8).withRawSpan { empty in
            let whole = ByteRange(offset: 0, count: 2)
            var splice = JSONSplice()
            splice.editMeta(of: whole, in: empty, meta)
            return splice.applied(to: whole, of: empty)
        }
    }
}
