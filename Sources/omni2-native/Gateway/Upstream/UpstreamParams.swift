import OmniCore

/// The messages we send, written.
enum UpstreamParams {
    static func request(_ id: Int64, _ method: StaticString, _ params: [UInt8]?) -> [UInt8] {
        var message: [UInt8] = []
        message.reserveCapacity(64 + method.utf8CodeUnitCount + (params?.count ?? 0))
        RPCWriter.request(id: id, method: method, params: params, to: &message)
        return message
    }

    static func toolCall(_ name: String, _ arguments: [UInt8]) -> [UInt8] {
        var json = JSONWriter(reserving: 32 + name.utf8.count + arguments.count)
        json.object { json in
            json.member("name", name)
            json.member("arguments", raw: arguments.isEmpty ? Array("{}".utf8) : arguments)
        }
        return json.take()
    }

    /// A client's params as this hop wants them: our progress token or none, the envelope of the
    /// stateless era on or off, what only that era knows away from servers of the other, and `more`
    /// in `_meta`.
    static func adapted(
        _ params: [UInt8]?, progressToken: Int64?, modern: ModernHop?,
        more: [JSONSplice.Change] = []
    ) -> [UInt8] {
        let params = params ?? Array("{}".utf8)
        let whole = ByteRange(offset: 0, count: params.count)
        return params.withRawSpan { bytes in
            var meta = JSONScanner.member("_meta", of: whole, in: bytes)
            if let found = meta, JSONScanner.kind(of: found, in: bytes) != .object { meta = nil }
            var inside = modern?.envelope(over: meta, in: bytes) ?? ModernRequest.envelopeRemoval
            inside.append(
                JSONSplice.Change(
                    "progressToken", progressToken.map { Array(String($0).utf8) }))
            inside += more
            var splice = JSONSplice()
            var outside: [JSONSplice.Change] = []
            if modern == nil {
                for name in Self.roundMembers
                where JSONScanner.member(name, of: whole, in: bytes) != nil {
                    outside.append(.removal(of: name))
                }
            }
            if let meta {
                splice.edit(meta, in: bytes, inside)
            } else if inside.contains(where: { $0.json != nil }) {
                outside.append(JSONSplice.Change("_meta", Self.object(inside)))
            }
            if !outside.isEmpty { splice.edit(whole, in: bytes, outside) }
            return splice.isEmpty ? params : splice.applied(to: whole, of: bytes)
        }
    }

    /// What a second round of the stateless era carries.
    private static let roundMembers: [StaticString] = ["inputResponses", "requestState"]

    private static func object(_ changes: [JSONSplice.Change]) -> [UInt8] {
        var json = JSONWriter(reserving: 128)
        json.object { json in
            for change in changes {
                if let value = change.json { json.member(change.name, raw: value) }
            }
        }
        return json.take()
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
