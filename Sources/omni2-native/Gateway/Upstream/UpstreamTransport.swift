import OmniCore
import OmniIO

/// How messages travel to a server and back: HTTP, the older event stream, a child process, or a unit.
///
/// A transport knows nothing of MCP but its framing. It lives from `open` to `close`, once.
protocol UpstreamTransport: AnyObject {
    /// Who is told of what arrives; nil once the transport is out of use.
    var sink: (any UpstreamSink)? { get set }
    /// Goes into a header of every request, where the transport has headers.
    var protocolVersion: String? { get set }
    /// Lines of one process, which is the session and may be slow to start.
    var isStdio: Bool { get }

    func open(until deadline: MonotonicTime) async throws(UpstreamError)
    /// Sends a request. May return before the answer, which comes by the sink; where answers are
    /// bound to their requests it returns after it, and throws when there will be none.
    func send(_ message: [UInt8], for call: UpstreamCall) async throws(UpstreamError)
    /// Sends a notification or an answer of ours.
    func send(_ message: [UInt8], until deadline: MonotonicTime) async throws(UpstreamError)
    /// Begin to listen for what belongs to no request: by itself, or by this request, whose answer
    /// stays open (2026-07-28). Called again, the new request takes the place of the old one.
    func listen(_ subscription: [UInt8]?)
    /// Whether ending a request's stream is what cancels it, so that no notification is needed.
    var cancelsByClosing: Bool { get }
    /// Prepares for a second handshake after the server forgot the session; false where only a new
    /// transport helps.
    func forgetSession() -> Bool
    /// Ends the session at the server, and a child with it.
    func close(until deadline: MonotonicTime) async
}

/// Where a transport delivers.
protocol UpstreamSink: AnyObject {
    /// One JSON-RPC message, or a batch; on the stream that answers `call`, where answers are bound
    /// to their requests.
    func received(_ message: [UInt8], on call: UpstreamCall?)
    /// A message was left out because of its length; how it began.
    func receivedTooLong(_ prefix: [UInt8])
    /// Something that is not a message, where only messages may be.
    func receivedGarbage(_ line: [UInt8])
    /// What the server says for people, on its error output.
    func receivedErrorOutput(_ line: [UInt8])
    /// The server does not know the request that should open the listening stream.
    func listeningRefused()
    /// The listening stream is there again; what was said meanwhile is lost.
    func listenedAgain()
    /// The session has ended by itself.
    func lost(_ error: UpstreamError)
}

extension UpstreamError {
    init(_ error: HTTPClientError) {
        switch error {
        case .timedOut(.connect): self = .timedOut("connecting")
        case .timedOut: self = .timedOut("waiting for the answer")
        case .tooLarge(let bytesMax): self = .tooLarge(limit: bytesMax)
        case .cancelled: self = .stopped
        case .limitReached: self = .overloaded
        case .protocolError: self = .protocolViolation("\(error)")
        case .invalidRequest, .connectFailed, .tlsFailed, .reset: self = .transport("\(error)")
        }
    }
}
