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
        let raw = bytes.withRawSpan { $0.string(head.path) }
        path = raw.isEmpty ? "/" : Self.decoded(raw, plusIsSpace: false) ?? raw
    }

    var method: HTTPMethod { head.method }
    var methodName: String { bytes.withRawSpan { $0.string(head.methodName) } }

    func header(_ name: StaticString) -> String? {
        bytes.withRawSpan { span in
            guard let range = head.value(of: name, in: span) else { return nil }
            return span.string(range)
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
        let query = bytes.withRawSpan { $0.string(head.query) }
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard Self.decoded(String(parts[0]), plusIsSpace: true) == name else { continue }
            return parts.count == 1 ? "" : Self.decoded(String(parts[1]), plusIsSpace: true)
        }
        return nil
    }

    /// Nil when a `%` is not followed by two hexadecimal digits.
    private static func decoded(_ text: String, plusIsSpace: Bool) -> String? {
        if !text.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) {
            return text
        }
        var result: [UInt8] = []
        var bytes = text.utf8.makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = bytes.next(), let low = bytes.next(),
                    let value = UInt8(
                        String(decoding: [high, low], as: UTF8.self), radix: 16)
                else { return nil }
                result.append(value)
            case UInt8(ascii: "+") where plusIsSpace: result.append(UInt8(ascii: " "))
            default: result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The host the client means, as sent.
    var authority: String { bytes.withRawSpan { $0.string(head.authority) } }

    func withHead<Value>(_ body: (HTTPRequestHead, RawSpan) -> Value) -> Value {
        bytes.withRawSpan { body(head, $0) }
    }
}
