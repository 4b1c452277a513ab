import OmniCore
import OmniIO

/// What a server has done that a well-behaved one would not, since the daemon started.
struct UpstreamStatistics: Sendable, Equatable {
    /// Lines on a child's standard output that were no messages.
    var garbageLines = 0
    /// Messages that were not JSON-RPC.
    var badMessages = 0
    var tooLongMessages = 0
}

extension Upstream: UpstreamSink {
    /// Answers that came when nobody waited any more.
    var lateAnswers: Int { calls.lateAnswers }

    func received(_ bytes: [UInt8]) {
        let incoming: RPCIncoming
        do throws(RPCFailure) {
            incoming = try unsafe RPCIncoming.read(bytes.span.bytes, depthMax: 128)
        } catch {
            statistics.badMessages += 1
            log.warning(
                "the server sent something that is not JSON-RPC, ignoring",
                fields: ["reason": error.message])
            return
        }
        switch incoming {
        case .message(let message): received(message, in: bytes)
        case .batch(let array): receivedBatch(array, in: bytes)
        }
    }

    /// One revision had batches; each element becomes a message of its own.
    private func receivedBatch(_ array: ByteRange, in bytes: [UInt8]) {
        var elements = unsafe JSONElements(of: array, in: bytes.span.bytes)
        var messages: [[UInt8]] = []
        while let element = unsafe elements.next(in: bytes.span.bytes) {
            messages.append(unsafe JSONScanner.copy(element, from: bytes.span.bytes))
        }
        for message in messages where message.first == UInt8(ascii: "{") { received(message) }
    }

    private func received(_ message: RPCMessage, in bytes: [UInt8]) {
        switch message.kind {
        case .result, .error:
            let id = unsafe JSONScanner.int(message.id, in: bytes.span.bytes)
            calls.answer(id, bytes, message)
        case .request: answer(message, in: bytes)
        case .notification: take(message, in: bytes)
        }
    }

    /// We declare no capability of a client, so there is little a server may ask of us.
    private func answer(_ message: RPCMessage, in bytes: [UInt8]) {
        guard let transport, let id = message.id else { return }
        let span = unsafe bytes.span.bytes
        let rawID = JSONScanner.copy(id, from: span)
        var answer: [UInt8] = []
        if MCPMethod(message.method, in: span) == .ping {
            RPCWriter.result(id: rawID, result: Array("{}".utf8), to: &answer)
        } else {
            RPCWriter.error(
                id: rawID, code: .methodNotFound, message: "Method not found", to: &answer)
        }
        post(answer, over: transport)
    }

    private func take(_ message: RPCMessage, in bytes: [UInt8]) {
        let span = unsafe bytes.span.bytes
        switch MCPMethod(message.method, in: span) {
        case .progress:
            guard let params = message.params else { return }
            let token = JSONScanner.member("progressToken", of: params, in: span)
            guard let id = JSONScanner.int(token, in: span) else { return }
            calls[id]?.progress?(JSONScanner.copy(params, from: span))
        case .toolsListChanged, .promptsListChanged, .resourcesListChanged:
            // While connecting the lists are being read anyway.
            if isConnected { refresh() }
        default:
            let method = JSONScanner.string(message.method, in: span) ?? ""
            notified(self, method, message.params.map { JSONScanner.copy($0, from: span) } ?? [])
        }
    }

    func receivedTooLong(_ prefix: [UInt8]) {
        statistics.tooLongMessages += 1
        log.warning(
            "a message of the server is too long, ignoring",
            fields: ["limit": deadlines.messageBytesMax])
        let error = UpstreamError.tooLarge(limit: deadlines.messageBytesMax)
        if let id = UpstreamParams.answeredID(prefix), let call = calls[id] {
            call.end(.failed(error))
        } else {
            // Nobody can say whose answer it was, and waiting for it would be in vain.
            calls.failAll(error)
        }
    }

    func receivedGarbage(_ line: [UInt8]) {
        statistics.garbageLines += 1
        log.warning(
            "the server printed something that is no message, ignoring",
            fields: ["line": HTTPRefusal.excerpt(line), "count": statistics.garbageLines])
    }

    func receivedErrorOutput(_ line: [UInt8]) {
        log.debug("server: \(HTTPRefusal.excerpt(line))")
    }

    func listenedAgain() {
        if isConnected { refresh() }
    }

    func lost(_ error: UpstreamError) {
        if error == .sessionExpired, isConnected { return sessionWasForgotten() }
        endSession(error)
    }
}

extension UpstreamError {
    /// Nil when the answer is a result.
    init?(answer message: RPCMessage, in bytes: [UInt8]) {
        guard message.kind == .error, let payload = message.payload else { return nil }
        let span = unsafe bytes.span.bytes
        guard let error = RPCErrorObject.read(payload, in: span) else {
            self = .protocolViolation("an error without a code")
            return
        }
        self = .rpc(
            code: Int(error.code.rawValue),
            message: JSONScanner.string(error.message, in: span) ?? "",
            data: error.data.map { JSONScanner.copy($0, from: span) })
    }
}

extension RPCMessage {
    /// The raw `result` of an answer.
    func result(in bytes: [UInt8]) -> [UInt8] {
        guard let payload else { return Array("{}".utf8) }
        return unsafe JSONScanner.copy(payload, from: bytes.span.bytes)
    }
}
