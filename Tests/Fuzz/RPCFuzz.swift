// A request body as /mcp gets it: read as JSON-RPC, fed to a session, its parameters taken apart, its
// numbers and texts looked at; and the same bytes as a web token, as restrictions and against a schema.
// No crash, and whatever is answered is JSON again.

@c(LLVMFuzzerTestOneInput)
public func fuzzRPC(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: count))
    readMessages(bytes)
    readAccess(bytes)
    return 0
}

private func readMessages(_ bytes: [UInt8]) {
    bytes.withRawSpan { span in
        do throws(RPCFailure) {
            switch try RPCIncoming.read(span) {
            case .message(let message): try converse(message, span)
            case .batch(let batch):
                var elements = JSONElements(of: batch, in: span)
                while let element = elements.next(in: span) {
                    try converse(try RPCMessage.read(validated: element, in: span), span)
                }
            }
        } catch {
            var answer: [UInt8] = []
            RPCWriter.failure(error, in: span, to: &answer)
            requireJSON(answer)
        }
    }
}

private func converse(_ message: RPCMessage, _ span: RawSpan) throws(RPCFailure) {
    var session = MCPSession()
    _ = session.received(message, in: span)
    _ = session.received(message, in: span)
    let parameters = try MCPParameters.read(message.params, in: span)
    for range in [parameters.name, parameters.uri, parameters.cursor] {
        _ = JSONScanner.string(range, in: span)
    }
    if let arguments = parameters.arguments { requireJSON(JSONScanner.copy(arguments, from: span)) }
    guard let id = message.id else { return }
    var answer: [UInt8] = []
    RPCWriter.result(
        id: JSONScanner.copy(id, from: span), result: Array("{}".utf8), to: &answer)
    requireJSON(answer)
}

private let schema = JSONSchema.object(
    .required("method", .text(.printable, 1...40)),
    .optional("params", .nullable(.map(.either([.list(.integer(0...9), 0...3), .boolean])))))

private func readAccess(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    _ = try? WebToken(text)
    _ = WebKeySet(bytes)
    guard let value = try? JSONValue(parsing: bytes) else { return }
    _ = schema.allows(value)
    try? WebTokenRules(audiences: ["a"]).check(value, now: 1_700_000_000)
    guard let restrictions = try? ToolRestrictions(value) else { return }
    // What we write we read, and it means the same.
    guard let again = try? ToolRestrictions(restrictions.json) else {
        return require(false, "cannot read \(restrictions.json.text)")
    }
    for name in restrictions.servers.keys {
        require(
            again.access(to: name).tools.mayUse("x")
                == restrictions.access(to: name).tools.mayUse("x"),
            "another meaning: \(restrictions.json.text)")
    }
}

private func requireJSON(_ bytes: [UInt8]) {
    require((try? JSONValue(parsing: bytes)) != nil, String(decoding: bytes, as: UTF8.self))
}
