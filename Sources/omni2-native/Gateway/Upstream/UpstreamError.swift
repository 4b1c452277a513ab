import OmniCore

/// Why a conversation with an MCP server did not end in a result.
///
/// `countsAsFailure` is what the circuit breaker asks: a server that answered, even with an error,
/// is a working server.
enum UpstreamError: Error, Sendable, Equatable {
    /// The connection or the child process failed. Text for the journal and the caller.
    case transport(String)
    /// Which step did not end before its deadline.
    case timedOut(String)
    /// The server asked the client something during this call and got no answer in time.
    case unanswered(String)
    /// The server forgot our session and the request could not be repeated safely.
    case sessionExpired
    /// The server answered with an error: code, message and the raw bytes of `data`.
    case rpc(code: Int, message: String, data: [UInt8]?)
    /// The server spoke, but not the protocol.
    case protocolViolation(String)
    /// An answer longer than we take.
    case tooLarge(limit: Int)
    /// No session: `connect` has not succeeded, or the session was lost.
    case notConnected
    /// As many calls as allowed are waiting already.
    case overloaded
    /// `close` or a cancellation ended the call.
    case stopped

    /// The server and we disagree about what a tool's schema puts into headers.
    var isHeaderMismatch: Bool {
        if case .rpc(let code, _, _) = self {
            code == RPCCode.headerMismatch.rawValue
        } else {
            false
        }
    }

    var countsAsFailure: Bool {
        switch self {
        case .transport, .timedOut, .sessionExpired, .protocolViolation: true
        case .rpc, .tooLarge, .notConnected, .overloaded, .stopped, .unanswered: false
        }
    }
}

/// In which order the two eras of the protocol are tried with a server.
enum UpstreamEras: Sendable, Equatable {
    /// `initialize`; `server/discover` where that is refused.
    case handshakeFirst
    /// `server/discover`; `initialize` unless the answer is a modern one.
    case modernFirst
    /// `"era": "handshake"` in the server's `meta_data`: nothing else is tried.
    case handshakeOnly
    /// `"era": "modern"`: likewise.
    case modernOnly
}

extension UpstreamError: CustomStringConvertible {
    var description: String {
        switch self {
        case .transport(let text): text
        case .timedOut(let step): "timed out: \(step)"
        case .unanswered(let method): "the client did not answer what the server asked: \(method)"
        case .sessionExpired: "the server no longer knows the session"
        case .rpc(let code, let message, _): "\(message) (\(code))"
        case .protocolViolation(let text): "protocol violation: \(text)"
        case .tooLarge(let limit): "the answer is longer than \(limit) bytes"
        case .notConnected: "not connected"
        case .overloaded: "too many calls at one time"
        case .stopped: "stopped"
        }
    }
}
