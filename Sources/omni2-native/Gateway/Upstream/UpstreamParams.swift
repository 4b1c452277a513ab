import OmniCore

/// The messages we send, written.
enum UpstreamParams {
    static func request(_ id: Int64, _ method: String, _ params: [UInt8]?) -> [UInt8] {
        var json = JSONWriter(reserving: 64 + method.utf8.count + (params?.count ?? 0))
        json.object { json in
            json.member("jsonrpc", "2.0")
            json.member("id", id)
            json.member("method", method)
            if let params { json.member("params", raw: params) }
        }
        return json.take()
    }

    /// `meta` is an object; its progress token is the caller's and must not reach the server, nor
    /// must the envelope of the stateless era reach one that does not know it.
    static func toolCall(
        _ name: String, _ arguments: [UInt8], meta: [UInt8]?, progressToken: Int64?,
        keepsEnvelope: Bool = false
    ) -> [UInt8] {
        let meta = self.meta(meta, progressToken, keepsEnvelope)
        var json = JSONWriter(
            reserving: 64 + name.utf8.count + arguments.count + (meta?.count ?? 0))
        json.object { json in
            json.member("name", name)
            json.member("arguments", raw: arguments.isEmpty ? Array("{}".utf8) : arguments)
            if let meta { json.member("_meta", raw: meta) }
        }
        return json.take()
    }

    private static func meta(
        _ meta: [UInt8]?, _ progressToken: Int64?, _ keepsEnvelope: Bool
    ) -> [UInt8]? {
        let token = progressToken.map { Array(String($0).utf8) }
        guard let meta else {
            return token.map { Array("{\"progressToken\":".utf8) + $0 + Array("}".utf8) }
        }
        let whole = ByteRange(offset: 0, count: meta.count)
        var splice = JSONSplice()
        var changes = [JSONSplice.Change("progressToken", token)]
        if !keepsEnvelope { changes += ModernRequest.envelopeRemoval }
        unsafe splice.edit(whole, in: meta.span.bytes, changes)
        return unsafe splice.applied(to: whole, of: meta.span.bytes)
    }

    static func cancelled(_ id: Int64, _ reason: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("jsonrpc", "2.0")
            json.member("method", "notifications/cancelled")
            json.memberObject("params") { json in
                json.member("requestId", id)
                json.member("reason", reason)
            }
        }
        return json.take()
    }

    static func page(_ cursor: String?) -> [UInt8]? {
        guard let cursor else { return nil }
        var json = JSONWriter()
        json.object { $0.member("cursor", cursor) }
        return json.take()
    }

    /// The id near the beginning of an answer that was too long to be kept whole: members in front
    /// of the result are short, so its first `"id":` is the envelope's.
    static func answeredID(_ prefix: [UInt8]) -> Int64? {
        let name = Array("\"id\":".utf8)
        var index = 0
        while index + name.count < prefix.count {
            if prefix[index...].starts(with: name) {
                let digits = prefix[(index + name.count)...].drop { $0 == UInt8(ascii: " ") }
                    .prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
                return Int64(String(decoding: digits, as: UTF8.self))
            }
            // What follows is the server's text, in which anything may stand.
            if prefix[index...].starts(with: "\"result\"".utf8) { return nil }
            index += 1
        }
        return nil
    }
}
