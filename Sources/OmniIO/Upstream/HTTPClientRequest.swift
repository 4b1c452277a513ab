/// One HTTP request, complete before it is sent.
public struct HTTPClientRequest: Sendable {
    public struct Header: Sendable, Equatable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public var method: String
    /// `http://…`, `https://…`, or `http+unix://%2Frun%2Fserver.sock/path` for a Unix socket.
    public var url: String
    public var headers: [Header]
    public var body: [UInt8]?
    /// From name look-up to the end of the TLS handshake.
    public var connectTimeout: Duration = .seconds(10)
    /// Whether the request may be sent a second time when a kept connection dies under it. A call
    /// that may have an effect must not be: its caller learns of a `reset` instead.
    public var isRepeatable: Bool
    public var options = Options()

    /// What differs from peer to peer.
    public struct Options: Sendable, Equatable {
        /// Certificates to trust, in PEM; nil takes the system's.
        public var authorityFile: String?
        /// Our own certificate and its key, in PEM.
        public var certificateFile: String?
        public var keyFile: String?
        /// `http://host:port` or `socks5h://host:port`. Nil means none: the environment of the
        /// process has no say.
        public var proxy: String?

        public init() {}
    }

    public init(
        _ method: String = "GET", _ url: String, headers: [Header] = [], body: [UInt8]? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        isRepeatable = method == "GET" || method == "HEAD"
    }
}

/// Why a request did not end in a response. Texts are libcurl's, for the journal.
public enum HTTPClientError: Error, Sendable, Equatable {
    /// Which step did not end before its deadline.
    public enum Phase: Sendable, Equatable { case connect, firstByte, body }

    /// It could not be sent as it was: a bad URL, a header with a line break, another scheme.
    case invalidRequest(String)
    /// No name, no route, refused.
    case connectFailed(String)
    case tlsFailed(String)
    case timedOut(Phase)
    /// The body is longer than the caller takes.
    case tooLarge(bytesMax: Int)
    /// The connection ended before the response did.
    case reset(String)
    /// What came was not HTTP.
    case protocolError(String)
    /// `cancel` or `close` ended it.
    case cancelled
    /// As many transfers as allowed are under way.
    case limitReached
}

extension HTTPClientError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidRequest(let text): "invalid request: \(text)"
        case .connectFailed(let text): "cannot connect: \(text)"
        case .tlsFailed(let text): "TLS failed: \(text)"
        case .timedOut(.connect): "timed out while connecting"
        case .timedOut(.firstByte): "timed out waiting for the response"
        case .timedOut(.body): "timed out in the middle of the response"
        case .tooLarge(let bytesMax): "the response is longer than \(bytesMax) bytes"
        case .reset(let text): "connection lost: \(text)"
        case .protocolError(let text): "not HTTP: \(text)"
        case .cancelled: "cancelled"
        case .limitReached: "too many requests at one time"
        }
    }
}
