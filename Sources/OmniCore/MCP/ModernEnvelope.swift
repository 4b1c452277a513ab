/// Names in `_meta` that the stateless era reserves.
public enum ModernMeta {
    public static let protocolVersion: StaticString = "io.modelcontextprotocol/protocolVersion"
    public static let clientInfo: StaticString = "io.modelcontextprotocol/clientInfo"
    public static let clientCapabilities: StaticString =
        "io.modelcontextprotocol/clientCapabilities"
    public static let logLevel: StaticString = "io.modelcontextprotocol/logLevel"
    public static let serverInfo: StaticString = "io.modelcontextprotocol/serverInfo"
    public static let subscriptionID: StaticString = "io.modelcontextprotocol/subscriptionId"
}

/// One request of the stateless era, which carries all there is to know about its sender.
public struct ModernRequest: Hashable, Sendable {
    public var method: MCPMethod
    public var version: ProtocolVersion
    public var client: MCPPeer
    public var capabilities: ClientCapabilities
    /// The client's own words, to be passed on unchanged.
    public var clientCapabilities: ByteRange
    public var parameters: MCPParameters

    /// The headers a body-reading server has to compare with the message; nil where absent.
    public struct Headers: Hashable, Sendable {
        public var version: String?
        public var method: String?
        public var name: String?

        public init(version: String?, method: String?, name: String?) {
            self.version = version
            self.method = method
            self.name = name
        }
    }

    /// - Parameter headers: nil on stdio, where there are none.
    /// - Throws: what to answer. Over HTTP -32601 goes with 404, everything else with 400.
    public static func read(
        _ message: RPCMessage, headers: Headers?, in bytes: RawSpan
    ) throws(RPCFailure) -> ModernRequest {
        func failure(_ code: RPCCode, _ reason: RPCFailure.Reason) -> RPCFailure {
            RPCFailure(code, reason, id: message.id)
        }
        let parameters: MCPParameters
        do throws(RPCFailure) {
            parameters = try MCPParameters.read(message.params, in: bytes)
        } catch {
            throw failure(error.code, error.reason)
        }
        guard let meta = parameters.meta, let versionText = meta.protocolVersion,
            let clientCapabilities = meta.clientCapabilities
        else { throw failure(.invalidParams, .missingEnvelope) }
        if let headers {
            guard ModernHeaders.agree(headers, with: message, parameters, versionText, in: bytes)
            else { throw failure(.headerMismatch, .headerMismatch) }
        }
        guard let version = ProtocolVersion(versionText, in: bytes), version.era == .modern else {
            throw failure(.unsupportedVersion, .unsupportedVersion)
        }
        guard let method = MCPMethod(message.method, in: bytes), !method.isNotification,
            method.sender != .server, method.exists(in: version)
        else { throw failure(.methodNotFound, .methodNotFound) }
        return ModernRequest(
            method: method, version: version, client: MCPPeer(meta.clientInfo, in: bytes),
            capabilities: ClientCapabilities(clientCapabilities, in: bytes),
            clientCapabilities: clientCapabilities, parameters: parameters)
    }

    /// The `data` of -32022.
    public static func unsupportedVersionData(requested: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.memberArray("supported") { json in
                for version in ProtocolVersion.allCases.reversed() { json.value("\(version.text)") }
            }
            json.member("requested", requested)
        }
        return json.take()
    }

    /// The changes to a request's `_meta` that make it one of the stateless era, for
    /// `JSONSplice.editMeta`.
    public static func envelope(
        version: ProtocolVersion = .latest, client: MCPPeer, capabilities: ClientCapabilities
    ) -> [JSONSplice.Change] {
        var clientInfo = JSONWriter()
        client.write(for: version, to: &clientInfo)
        var clientCapabilities = JSONWriter()
        capabilities.write(for: version, to: &clientCapabilities)
        return [
            JSONSplice.Change(ModernMeta.protocolVersion, value: .string("\(version.text)")),
            JSONSplice.Change(ModernMeta.clientInfo, clientInfo.take()),
            JSONSplice.Change(ModernMeta.clientCapabilities, clientCapabilities.take()),
        ]
    }

    /// The changes that take the envelope off again, towards a server of the handshake era.
    public static let envelopeRemoval: [JSONSplice.Change] = [
        .removal(of: ModernMeta.protocolVersion),
        .removal(of: ModernMeta.clientInfo),
        .removal(of: ModernMeta.clientCapabilities),
        .removal(of: ModernMeta.logLevel),
    ]

    /// The result of `server/discover`.
    public static func discoverResult(
        server: MCPPeer, capabilities: ServerCapabilities, instructions: String?,
        ttlMilliseconds: Int64
    ) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("resultType", "complete")
            json.memberArray("supportedVersions") { json in
                for version in ProtocolVersion.allCases.reversed() { json.value("\(version.text)") }
            }
            json.member("capabilities") { capabilities.write(for: .latest, to: &$0) }
            json.member("instructions", ifPresent: instructions)
            json.member("ttlMs", ttlMilliseconds)
            json.member("cacheScope", "private")
            json.memberObject("_meta") { json in
                json.member(ModernMeta.serverInfo) { server.write(for: .latest, to: &$0) }
            }
        }
        return json.take()
    }
}

/// The routing headers of the stateless era: written for an upstream, compared for a client.
public enum ModernHeaders {
    /// A header's value: the text itself when it is plain visible ASCII, else its Base64 form.
    public static func encode(_ text: String) -> String {
        let isPlain =
            text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F || $0 == 0x20 }
            && text.utf8.first != 0x20 && text.utf8.last != 0x20
            && !(text.hasPrefix("=?base64?") && text.hasSuffix("?="))
        if isPlain { return text }
        let bytes = Array(text.utf8)
        var writer = ByteWriter(capacity: bytes.count / 3 * 4 + 4)
        unsafe Base64.encode(bytes.span.bytes, into: &writer)
        let encoded = writer.withBytes { $0.string() }
        return "=?base64?\(encoded)?="
    }

    /// nil when it claims to be Base64 and is not.
    public static func decode(_ value: String) -> String? {
        guard value.hasPrefix("=?base64?"), value.hasSuffix("?=") else { return value }
        let inner = Array(value.utf8.dropFirst(9).dropLast(2))
        var writer = ByteWriter(capacity: inner.count)
        let isDecoded = unsafe Base64.decode(
            inner.span.bytes, ByteRange(offset: 0, count: inner.count), into: &writer)
        return isDecoded ? writer.withBytes { $0.string() } : nil
    }

    static func agree(
        _ headers: ModernRequest.Headers, with message: RPCMessage, _ parameters: MCPParameters,
        _ version: ByteRange, in bytes: RawSpan
    ) -> Bool {
        guard let headerVersion = headers.version,
            JSONScanner.equals(version, headerVersion, in: bytes),
            let headerMethod = headers.method,
            JSONScanner.equals(message.method, headerMethod, in: bytes)
        else { return false }
        // What this era does not know has no such header.
        guard let known = MCPMethod(message.method, in: bytes), known.exists(in: .latest) else {
            return true
        }
        let subject: ByteRange?
        switch known.subject {
        case .name: subject = parameters.name
        case .uri: subject = parameters.uri
        case .taskID: subject = parameters.taskID
        default: return true
        }
        guard let headerName = headers.name, let name = decode(headerName) else { return false }
        return JSONScanner.equals(subject, name, in: bytes)
    }
}
