/// Results of the stateless era that ask something first (`input_required`), and the second request
/// that answers them.
public struct InputRound: Hashable, Sendable {
    /// One thing the client is asked.
    public struct Request: Hashable, Sendable {
        /// With quotes; the answer goes back under it.
        public var key: ByteRange
        /// Nil for a method that no client is asked by.
        public var method: MCPMethod?
        /// A raw object.
        public var params: ByteRange?
    }

    public var requests: [Request] = []
    /// Opaque; goes back as it came.
    public var state: ByteRange?

    /// Nil when the result asks nothing.
    public init?(_ facts: ResultFacts, in bytes: RawSpan) {
        guard facts.completeness == .inputRequired else { return nil }
        state = JSONScanner.member("requestState", of: facts.whole, in: bytes)
        guard let asked = JSONScanner.member("inputRequests", of: facts.whole, in: bytes) else {
            return
        }
        var members = JSONMembers(of: asked, in: bytes)
        while let member = members.next(in: bytes) {
            let name = JSONScanner.member("method", of: member.value, in: bytes)
            requests.append(
                Request(
                    key: member.name, method: MCPMethod(name, in: bytes),
                    params: JSONScanner.member("params", of: member.value, in: bytes)))
        }
    }

    /// A result that asks: `(key, method, raw params)` each, and the state to come back with.
    public static func result(
        asking requests: [(key: String, method: MCPMethod, params: [UInt8]?)], state: String
    ) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("resultType", "input_required")
            json.memberObject("inputRequests") { json in
                for request in requests {
                    json.name(text: request.key)
                    json.object { json in
                        json.member("method", "\(request.method.name)")
                        if let params = request.params { json.member("params", raw: params) }
                    }
                }
            }
            json.member("requestState", state)
        }
        return json.take()
    }

    /// The changes to a request's params that answer: raw keys with quotes, raw results.
    public static func changes(
        answers: [(key: [UInt8], result: [UInt8])], state: [UInt8]?
    ) -> [JSONSplice.Change] {
        var text = Array("{".utf8)
        for (index, answer) in answers.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text += answer.key
            text.append(UInt8(ascii: ":"))
            text += answer.result
        }
        text.append(UInt8(ascii: "}"))
        return [.init("inputResponses", text), .init("requestState", state)]
    }
}
