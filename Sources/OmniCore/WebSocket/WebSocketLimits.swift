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
