/// The words of RFC 6455: opcodes, close codes, and what can be wrong with a frame.

public enum WebSocketOpcode: UInt8, Hashable, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    public var isControl: Bool { rawValue & 0x8 != 0 }
}

/// A close code (RFC 6455 §7.4).
public struct WebSocketCloseCode: Hashable, Sendable, RawRepresentable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let normal = Self(rawValue: 1000)
    public static let goingAway = Self(rawValue: 1001)
    public static let protocolError = Self(rawValue: 1002)
    public static let unsupportedData = Self(rawValue: 1003)
    /// A close frame without a code. Never sent.
    public static let none = Self(rawValue: 1005)
    public static let invalidPayload = Self(rawValue: 1007)
    public static let policyViolation = Self(rawValue: 1008)
    public static let messageTooBig = Self(rawValue: 1009)
    public static let internalError = Self(rawValue: 1011)
    public static let serviceRestart = Self(rawValue: 1012)
    public static let tryAgainLater = Self(rawValue: 1013)

    /// Whether an endpoint may put it into a frame. 1004, 1005, 1006 and 1015 are reserved;
    /// 1016…2999 are not assigned; 3000…4999 belong to libraries and applications.
    public var mayBeSent: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

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

/// How much a peer may send at once. Beyond either: close code 1009.
public struct WebSocketLimits: Hashable, Sendable {
    private let frame: UInt32
    private let message: UInt32

    /// Payload of one frame, as on the wire.
    public var frameBytesMax: Int { Int(frame) }
    /// One message, all fragments together; of a compressed one both sizes.
    public var messageBytesMax: Int { Int(message) }

    public init(frameBytesMax: Int = 1 << 20, messageBytesMax: Int = 1 << 20) {
        frame = UInt32(frameBytesMax)
        message = UInt32(messageBytesMax)
    }
}

public enum WebSocketRole: Hashable, Sendable { case server, client }
