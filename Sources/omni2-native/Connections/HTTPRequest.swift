import OmniCore

/// One complete request: its bytes, and what the parser found in them.
final class HTTPRequest {
    let head: HTTPRequestHead
    let body: [UInt8]
    /// Decoded path, without the query.
    let path: String
    let bytes: [UInt8]

    init(bytes: [UInt8], head: HTTPRequestHead, body: [UInt8]) {
        self.bytes = bytes
        self.head = head
        self.body = body
        // A path whose percent signs are wrong matches no route as it stands.
        let text = bytes.withRawSpan { span in
            PercentEncoding.decoded(span, head.path, as: .path) ?? span.string(head.path)
        }
        path = text.isEmpty ? "/" : text
    }

    var method: HTTPMethod { head.method }
    var methodName: String { bytes.withRawSpan { $0.string(head.methodName) } }

    func header(_ name: StaticString) -> String? {
        bytes.withRawSpan { span in
            guard let range = head.value(of: name, in: span) else { return nil }
            return span.string(range)
        }
    }

    /// As above, for a name that is known only now; letters count without their case.
    func header(named name: String) -> String? {
        bytes.withRawSpan { span in
            let wanted = name.lowercased()
            for index in 0..<head.headerCount {
                let header = head.header(at: index)
                if header.name.count == wanted.utf8.count,
                    span.string(header.name).lowercased() == wanted
                {
                    return span.string(header.value)
                }
            }
            return nil
        }
    }

    func headerCount(_ name: StaticString) -> Int {
        bytes.withRawSpan { head.occurrences(of: name, in: $0) }
    }

    func headerLists(_ token: StaticString, in name: StaticString) -> Bool {
        bytes.withRawSpan { head.lists(token, in: name, $0) }
    }

    /// The first value of a query parameter, decoded; empty for a name without value.
    func query(_ name: String) -> String? {
        bytes.withRawSpan { span in
            var position = HTTPQuery(head.query).start
            while let pair = HTTPQuery(head.query).next(span, position: &position) {
                if PercentEncoding.decoded(span, pair.name, as: .query) == name {
                    return PercentEncoding.decoded(span, pair.value, as: .query)
                }
            }
            return nil
        }
    }

    /// Every value of a query parameter; nil for one that cannot be decoded.
    func queries(_ name: String) -> [String?] {
        bytes.withRawSpan { span in
            var values: [String?] = []
            var position = HTTPQuery(head.query).start
            while let pair = HTTPQuery(head.query).next(span, position: &position) {
                if PercentEncoding.decoded(span, pair.name, as: .query) == name {
                    values.append(PercentEncoding.decoded(span, pair.value, as: .query))
                }
            }
            return values
        }
    }

    /// The host the client means, as sent.
    var authority: String { bytes.withRawSpan { $0.string(head.authority) } }

    func withHead<Value>(_ body: (HTTPRequestHead, RawSpan) -> Value) -> Value {
        bytes.withRawSpan { body(head, $0) }
    }
}
