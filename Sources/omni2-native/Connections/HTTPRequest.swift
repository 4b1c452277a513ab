import OmniCore

/// One complete request: its bytes, and what the parser found in them.
final class HTTPRequest {
    let head: HTTPRequestHead
    let body: [UInt8]
    /// Decoded path, without the query.
    let path: String
    private let bytes: [UInt8]

    init(bytes: [UInt8], head: HTTPRequestHead, body: [UInt8]) {
        self.bytes = bytes
        self.head = head
        self.body = body
        let span = bytes.span.bytes
        path = head.path.isEmpty ? "/" : span.percentDecoded(head.path) ?? span.string(head.path)
    }

    var method: HTTPMethod { head.method }
    var methodName: String { bytes.span.bytes.string(head.methodName) }

    func header(_ name: StaticString) -> String? {
        let span = bytes.span.bytes
        return head.value(of: name, in: span).map { span.string($0) }
    }

    func headerCount(_ name: StaticString) -> Int {
        head.occurrences(of: name, in: bytes.span.bytes)
    }

    func headerLists(_ token: StaticString, in name: StaticString) -> Bool {
        head.lists(token, in: name, bytes.span.bytes)
    }

    /// The first value of a query parameter, decoded; empty for a name without value.
    func query(_ name: String) -> String? { head.parameter(name, in: bytes.span.bytes) }

    /// The host the client means, as sent.
    var authority: String { bytes.span.bytes.string(head.authority) }

    func withHead<Value>(_ body: (HTTPRequestHead, RawSpan) -> Value) -> Value {
        body(head, bytes.span.bytes)
    }
}
