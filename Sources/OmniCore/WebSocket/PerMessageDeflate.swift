/// What was agreed about compression (RFC 7692), and the rules by which it is agreed.
///
/// Policy: never any context between messages, in either direction. So a connection holds no
/// zlib state while idle, and a broadcast is deflated once for all of its receivers.
public struct PerMessageDeflate: Hashable, Sendable {
    /// Our deflate window, 9…15 bits. zlib makes no raw stream with 8.
    public let serverWindowBits: UInt8
    /// The client's deflate window, 8…15 bits: what inflating may need.
    public let clientWindowBits: UInt8
    /// Which of the two the response names.
    private let namesServerWindow: Bool
    private let namesClientWindow: Bool

    /// Largest windows wanted. Smaller ones save memory and cost ratio.
    public struct Policy: Hashable, Sendable {
        public var serverWindowBitsMax: UInt8
        public var clientWindowBitsMax: UInt8

        public init(serverWindowBitsMax: UInt8 = 15, clientWindowBitsMax: UInt8 = 15) {
            precondition(
                (9...15).contains(serverWindowBitsMax) && (8...15).contains(clientWindowBitsMax),
                "a deflate window has 9 to 15 bits")
            self.serverWindowBitsMax = serverWindowBitsMax
            self.clientWindowBitsMax = clientWindowBitsMax
        }
    }

    /// The first acceptable offer among all `Sec-WebSocket-Extensions` headers, or nil: an offer
    /// with an unknown, repeated or invalid parameter is declined, which is never an error.
    static func negotiate(
        _ head: HTTPRequestHead, _ bytes: RawSpan, _ policy: Policy
    ) -> PerMessageDeflate? {
        for index in 0..<head.headerCount {
            let header = head.header(at: index)
            guard bytes.equalsIgnoringCase(header.name, "Sec-WebSocket-Extensions") else {
                continue
            }
            var position = header.value.offset
            while let offer = HTTPList.next(bytes, header.value, position: &position) {
                if let agreed = accept(bytes, offer, policy) { return agreed }
            }
        }
        return nil
    }

    private static func accept(
        _ bytes: RawSpan, _ offer: ByteRange, _ policy: Policy
    ) -> PerMessageDeflate? {
        var position = offer.offset
        guard let name = HTTPList.next(bytes, offer, position: &position, separator: semicolon),
            bytes.equals(name, "permessage-deflate")
        else { return nil }
        var parameters = Parameters()
        while position < offer.end {
            guard
                let parameter = HTTPList.next(
                    bytes, offer, position: &position, separator: semicolon),
                parameters.take(bytes, parameter)
            else { return nil }
        }
        return agree(parameters, policy)
    }

    private static let semicolon = UInt8(ascii: ";")

    private static func agree(_ parameters: Parameters, _ policy: Policy) -> PerMessageDeflate? {
        let serverBits = min(parameters.serverWindowBits ?? 15, policy.serverWindowBitsMax)
        guard serverBits >= 9 else { return nil }
        // A limit on the client's window may be named only if the client said it knows the word;
        // what it promised by itself holds without being repeated.
        let promised = parameters.clientWindowBits ?? 15
        let namesClientWindow =
            parameters.mentionsClientWindow && policy.clientWindowBitsMax < promised
        return PerMessageDeflate(
            serverWindowBits: serverBits,
            clientWindowBits: namesClientWindow ? policy.clientWindowBitsMax : promised,
            namesServerWindow: parameters.serverWindowBits != nil || serverBits < 15,
            namesClientWindow: namesClientWindow)
    }

    /// The value of `Sec-WebSocket-Extensions` in the response.
    func write(into writer: inout ByteWriter) {
        writer.append("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
        if namesServerWindow {
            writer.append("; server_max_window_bits=")
            writer.append(decimal: Int(serverWindowBits))
        }
        if namesClientWindow {
            writer.append("; client_max_window_bits=")
            writer.append(decimal: Int(clientWindowBits))
        }
    }
}

/// The parameters of one offer.
private struct Parameters {
    var serverWindowBits: UInt8?
    var clientWindowBits: UInt8?
    var mentionsClientWindow = false
    private var mentionsServerTakeover = false
    private var mentionsClientTakeover = false

    /// False if the parameter makes the offer unacceptable.
    mutating func take(_ bytes: RawSpan, _ parameter: ByteRange) -> Bool {
        let equals = bytes.firstOffset(
            of: UInt8(ascii: "="), from: parameter.offset, to: parameter.end)
        let name = bytes.trimmingBlanks(
            ByteRange(from: parameter.offset, to: equals ?? parameter.end))
        let value = equals.map {
            Self.unquoted(
                bytes, bytes.trimmingBlanks(ByteRange(from: $0 + 1, to: parameter.end)))
        }
        if bytes.equals(name, "server_no_context_takeover") {
            return value == nil && Self.isFirst(&mentionsServerTakeover)
        }
        if bytes.equals(name, "client_no_context_takeover") {
            return value == nil && Self.isFirst(&mentionsClientTakeover)
        }
        if bytes.equals(name, "server_max_window_bits") {
            guard serverWindowBits == nil, let value, let bits = Self.bits(bytes, value) else {
                return false
            }
            serverWindowBits = bits
            return true
        }
        if bytes.equals(name, "client_max_window_bits") {
            guard Self.isFirst(&mentionsClientWindow) else { return false }
            guard let value else { return true }
            clientWindowBits = Self.bits(bytes, value)
            return clientWindowBits != nil
        }
        return false
    }

    private static func isFirst(_ mentioned: inout Bool) -> Bool {
        defer { mentioned = true }
        return !mentioned
    }

    private static func unquoted(_ bytes: RawSpan, _ value: ByteRange) -> ByteRange {
        let quote = UInt8(ascii: "\"")
        guard value.count >= 2, bytes[value.offset] == quote, bytes[value.end - 1] == quote else {
            return value
        }
        return ByteRange(from: value.offset + 1, to: value.end - 1)
    }

    /// 8…15 without leading zeros.
    private static func bits(_ bytes: RawSpan, _ value: ByteRange) -> UInt8? {
        guard let number = bytes.decimal(value), (8...15).contains(number),
            value.count == (number < 10 ? 1 : 2)
        else { return nil }
        return UInt8(number)
    }
}
