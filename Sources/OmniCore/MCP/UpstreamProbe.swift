/// Reads the answer to `server/discover`, with which every unknown upstream is greeted.
///
/// No single code decides: servers of the handshake era answer the probe with anything from -32601
/// over a validation error to silence. Only a recognised modern answer means modern; only a missing
/// credential or a broken transport means that nothing was learnt.
public enum UpstreamProbe {
    public enum Answer: Hashable, Sendable {
        /// A JSON-RPC answer, by HTTP (with its status) or stdio (200).
        case message(RPCMessage, status: Int)
        /// HTTP without a JSON-RPC body.
        case status(Int)
        /// The deadline passed. On stdio that is a verdict, on HTTP a failure.
        case silence(isStdio: Bool)
    }

    public enum Verdict: Hashable, Sendable {
        /// Speaks the stateless era; the discover result when there is one.
        case modern(ProtocolVersion, result: ByteRange?)
        /// Try `initialize`.
        case handshake
        case unauthorized
        /// Modern, but no revision in common.
        case unsupported
        /// Nothing was learnt; probe again later.
        case unknown
    }

    public static func verdict(of answer: Answer, in bytes: RawSpan) -> Verdict {
        switch answer {
        case .silence(let isStdio): isStdio ? .handshake : .unknown
        case .status(let status): verdict(ofStatus: status)
        case .message(let message, let status): verdict(of: message, status: status, in: bytes)
        }
    }

    private static func verdict(ofStatus status: Int) -> Verdict {
        switch status {
        case 401, 403: .unauthorized
        case 200..<300, 400, 402, 404..<408, 409..<425, 426..<429, 430..<500: .handshake
        default: .unknown
        }
    }

    private static func verdict(
        of message: RPCMessage, status: Int, in bytes: RawSpan
    ) -> Verdict {
        guard let payload = message.payload else { return .handshake }
        if message.kind == .result {
            guard let versions = JSONScanner.member("supportedVersions", of: payload, in: bytes)
            else { return .handshake }
            return common(versions, result: payload, in: bytes)
        }
        guard let error = RPCErrorObject.read(payload, in: bytes) else { return .handshake }
        if error.code == .unsupportedVersion {
            guard let data = error.data,
                let versions = JSONScanner.member("supported", of: data, in: bytes)
            else { return .unsupported }
            return common(versions, result: nil, in: bytes)
        }
        if error.code.isModern { return .modern(.latest, result: nil) }
        return status == 401 || status == 403 ? .unauthorized : .handshake
    }

    /// The newest revision both know.
    private static func common(
        _ versions: ByteRange, result: ByteRange?, in bytes: RawSpan
    ) -> Verdict {
        var best: ProtocolVersion?
        var elements = JSONElements(of: versions, in: bytes)
        while let element = elements.next(in: bytes) {
            if let version = ProtocolVersion(element, in: bytes) {
                best = best.map { max($0, version) } ?? version
            }
        }
        guard let best else { return .unsupported }
        return best.era == .modern ? .modern(best, result: result) : .handshake
    }
}
