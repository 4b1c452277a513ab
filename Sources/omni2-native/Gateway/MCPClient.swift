import OmniCore

/// Who asks, by the hop the request came over: a session of the handshake era, or one request of the
/// stateless era that tells everything itself.
enum MCPClient {
    case handshake(GatewaySession)
    case modern(Modern)

    struct Modern {
        let capabilities: ClientCapabilities
        /// The client wants logs of this request in this detail; nil: none.
        let logLevel: MCPLogLevel?
    }

    var era: ProtocolVersion.Era {
        if case .handshake = self { .handshake } else { .modern }
    }

    var session: GatewaySession? {
        if case .handshake(let session) = self { session } else { nil }
    }

    var capabilities: ClientCapabilities {
        switch self {
        case .handshake(let session): session.machine.capabilities
        case .modern(let modern): modern.capabilities
        }
    }

    /// The least grave message that is passed on; nil: none is.
    var logLevel: MCPLogLevel? {
        switch self {
        // Until the client says otherwise, what it gets is the server's choice.
        case .handshake(let session): session.logLevel ?? .debug
        case .modern(let modern): modern.logLevel
        }
    }

    /// Why this client cannot be asked this; nil when it can.
    func refusal(of method: MCPMethod, params: [UInt8]?) -> String? {
        guard let needed = method.neededCapability else { return "is no question to a client" }
        guard capabilities.contains(needed) else { return "the client does not support it" }
        if case .handshake(let session) = self, !method.exists(in: session.machine.version) {
            return "the client's revision \(session.machine.version.text) does not know it"
        }
        guard let params else { return nil }
        return params.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            let mode = JSONScanner.member("mode", of: whole, in: bytes)
            if method == .elicit, JSONScanner.equals(mode, "url", in: bytes),
                !capabilities.contains(.elicitationURL)
            {
                return "the client does not support questions by URL"
            }
            if method == .createMessage, !capabilities.contains(.samplingTools),
                JSONScanner.member("tools", of: whole, in: bytes) != nil
            {
                return "the client does not support tools in sampling"
            }
            return nil
        }
    }

    /// What a server of the stateless era is told of a client that has no envelope of its own.
    var envelope: [JSONSplice.Change] {
        guard case .handshake(let session) = self else { return [] }
        return ModernRequest.envelope(
            client: session.machine.client, capabilities: session.machine.capabilities)
            + [.init(ModernMeta.logLevel, value: .string("\((logLevel ?? .debug).text)"))]
    }
}
