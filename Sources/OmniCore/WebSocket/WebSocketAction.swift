/// What the owner of a `WebSocketSession` has to do next. Ranges lie in the bytes just shown.
public enum WebSocketAction: Hashable, Sendable {
    /// Nothing. Keep the bytes from `position` on (at most 130) and show them again with more.
    case needMore
    /// Data of a message. When `isWhole`, all of it lies here and need not be copied; otherwise
    /// gather the parts up to the one with `isLast`.
    case deliver(WebSocketMessagePart)
    /// The same of a compressed message: inflate it, and hand each piece of the result to
    /// `inflated`. On the last part add the bytes 00 00 FF FF that the sender took away.
    case inflate(WebSocketMessagePart)
    /// Send a pong with this payload.
    case sendPong(ByteRange)
    case pongReceived(ByteRange)
    /// Send a close frame (`WebSocketClosing.write`), then end the connection. What the peer still
    /// sends need not be shown.
    case close(WebSocketClosing)
    /// The closing handshake is over, or failed after our close frame: end the connection.
    case closed
}

public struct WebSocketMessagePart: Hashable, Sendable {
    /// Valid UTF-8 so far, and at `isLast` complete. (Of a part to inflate: not looked at yet.)
    public let isText: Bool
    public let payload: ByteRange
    public let isFirst: Bool
    public let isLast: Bool

    public var isWhole: Bool { isFirst && isLast }

    public init(isText: Bool, payload: ByteRange, isFirst: Bool, isLast: Bool) {
        self.isText = isText
        self.payload = payload
        self.isFirst = isFirst
        self.isLast = isLast
    }
}

/// The close frame to send, and why.
public struct WebSocketClosing: Hashable, Sendable {
    public enum Cause: Hashable, Sendable {
        /// The peer closed, for the reason it gave (valid UTF-8, often empty).
        case peer(reason: ByteRange)
        case error(WebSocketError)
    }

    /// To be sent; for a peer's close its own code. `none`: a close frame without a code.
    public let code: WebSocketCloseCode
    public let cause: Cause

    public init(code: WebSocketCloseCode, cause: Cause) {
        self.code = code
        self.cause = cause
    }

    public func write(mask: ByteMask? = nil, into writer: inout ByteWriter) {
        switch cause {
        case .peer: WebSocketWriter.close(code, mask: mask, into: &writer)
        case .error(let error):
            WebSocketWriter.close(code, reason: error.reason, mask: mask, into: &writer)
        }
    }
}
