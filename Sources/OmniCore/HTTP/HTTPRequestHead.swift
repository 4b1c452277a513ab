/// Method, target and header fields of one request, as ranges.
///
/// All ranges count from the first byte of the request, so they stay right when the bytes move to
/// another buffer. The table is part of the value: reading a request allocates nothing, and one
/// head can be used for request after request. It means nothing without its bytes.
public struct HTTPRequestHead: Sendable {
    /// Room in the header table.
    public static let headersMax = 64

    public internal(set) var method = HTTPMethod.get
    public internal(set) var version = HTTPVersion.http11
    /// The method as sent; for `other` the only way to know it.
    public internal(set) var methodName = ByteRange.empty
    /// The target as sent.
    public internal(set) var target = ByteRange.empty
    /// Still percent-encoded. Empty only for an absolute target without path: read it as "/".
    public internal(set) var path = ByteRange.empty
    /// What follows "?", still encoded; empty if there is none.
    public internal(set) var query = ByteRange.empty
    /// Host and port this request is for: of an absolute target if there is one, else of the Host
    /// header. Empty only in HTTP/1.0 or if Host was empty. `HostPolicy` judges it.
    public internal(set) var authority = ByteRange.empty
    public internal(set) var body = HTTPBodyLength.count(0)
    /// Whether the client would send another request on this connection.
    public internal(set) var keepsAlive = true
    /// The client waits for "100 Continue" before it sends the body.
    public internal(set) var expectsContinue = false
    /// Size of the head up to and with its empty line: here the body begins.
    public internal(set) var byteCount = 0
    public private(set) var headerCount = 0

    private var headers = [64 of HTTPHeader](repeating: HTTPHeader())

    public init() {}

    /// The header at `index`, in the order sent.
    public func header(at index: Int) -> HTTPHeader {
        precondition(index < headerCount, "header index beyond the table")
        return headers[index]
    }

    /// The first value of a header, without the white space around it; nil if absent. `bytes`
    /// are those of the request. Names match in either case.
    public func value(of name: StaticString, in bytes: RawSpan) -> ByteRange? {
        let index = find(name, bytes, from: 0)
        return index < headerCount ? headers[index].value : nil
    }

    /// How often a header occurs.
    public func occurrences(of name: StaticString, in bytes: RawSpan) -> Int {
        var count = 0
        var index = find(name, bytes, from: 0)
        while index < headerCount {
            count += 1
            index = find(name, bytes, from: index + 1)
        }
        return count
    }

    /// Whether a comma-separated header (`Connection`, `Upgrade`, …) has `token` among its
    /// elements, over all its lines and in either case.
    public func lists(_ token: StaticString, in name: StaticString, _ bytes: RawSpan) -> Bool {
        var index = find(name, bytes, from: 0)
        while index < headerCount {
            if HTTPList.contains(token, bytes, headers[index].value) { return true }
            index = find(name, bytes, from: index + 1)
        }
        return false
    }

    /// Index of the first header `name` at or after `start`; `headerCount` if there is none.
    private func find(_ name: StaticString, _ bytes: RawSpan, from start: Int) -> Int {
        // One span for the whole loop: each use of the array's subscript copies all of its 1 KiB
        // (a lookup among nine headers: 35 ns instead of 88).
        let table = headers.span
        let count = name.utf8CodeUnitCount
        var index = start
        // The lengths first: most names differ in it.
        while index < headerCount,
            table[index].name.count != count || !bytes.equalsIgnoringCase(table[index].name, name)
        {
            index += 1
        }
        return index
    }

    mutating func reset() {
        headerCount = 0
        authority = .empty
        path = .empty
        query = .empty
        body = .count(0)
        keepsAlive = true
        expectsContinue = false
    }

    /// The caller has checked that there is room.
    mutating func add(_ header: HTTPHeader) {
        headers[headerCount] = header
        headerCount += 1
    }
}

public struct HTTPHeader: Hashable, Sendable {
    public var name = ByteRange.empty
    /// Without the white space around it.
    public var value = ByteRange.empty
}

public enum HTTPMethod: Hashable, Sendable {
    case get, head, post, put, patch, delete, options, trace
    /// Any other token: see `HTTPRequestHead.methodName`.
    case other
}

public enum HTTPVersion: Hashable, Sendable {
    case http10
    /// 1.1 and every later 1.x.
    case http11
}

public enum HTTPBodyLength: Hashable, Sendable {
    /// So many bytes; 0 when the request has no body.
    case count(Int)
    case chunked
}
