/// What a peer did wrong. Final: close with `closeCode`.
public enum WebSocketError: Error, Hashable, Sendable {
    /// RSV1 without compression, in a continuation or a control frame; RSV2 or RSV3.
    case reservedBits
    case reservedOpcode
    case notMasked
    /// A server masked a frame (seen only in the client role).
    case masked
    /// A payload length not written in its shortest form, or with its highest bit set.
    case invalidLength
    case fragmentedControlFrame
    case controlFrameTooLong
    case unexpectedContinuation
    /// A new message began before the last one ended.
    case expectedContinuation
    case closePayloadTooShort
    case invalidCloseCode
    case invalidUTF8
    case frameTooLarge(limit: Int)
    case messageTooLarge(limit: Int)
    /// The application does not take this kind of data.
    case unsupportedData
    /// A compressed message does not inflate.
    case invalidCompression
    case internalError

    public var closeCode: WebSocketCloseCode {
        switch self {
        case .invalidUTF8, .invalidCompression: .invalidPayload
        case .frameTooLarge, .messageTooLarge: .messageTooBig
        case .unsupportedData: .unsupportedData
        case .internalError: .internalError
        default: .protocolError
        }
    }

    /// The reason sent in the close frame: at most 123 bytes, for the author of the client.
    public var reason: StaticString {
        switch self {
        case .reservedBits: "reserved bit set"
        case .reservedOpcode: "reserved opcode"
        case .notMasked: "client frame not masked"
        case .masked: "server frame masked"
        case .invalidLength: "payload length not in its shortest form"
        case .fragmentedControlFrame: "control frame fragmented"
        case .controlFrameTooLong: "control frame longer than 125 bytes"
        case .unexpectedContinuation: "continuation without a message"
        case .expectedContinuation: "message begun inside another"
        case .closePayloadTooShort: "close payload of one byte"
        case .invalidCloseCode: "close code not allowed"
        case .invalidUTF8: "text is not valid UTF-8"
        case .frameTooLarge: "frame too large"
        case .messageTooLarge: "message too large"
        case .unsupportedData: "kind of data not supported"
        case .invalidCompression: "message does not inflate"
        case .internalError: "internal error"
        }
    }
}
