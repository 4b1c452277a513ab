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

    func received(_ bytes: [UInt8], on call: UpstreamCall?) {
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
        case .message(let message): received(message, in: bytes, on: call)
        case .batch(let array): receivedBatch(array, in: bytes, on: call)
        }
    }

    /// One revision had batches; each element becomes a message of its own.
    private func receivedBatch(
        _ array: ByteRange, in bytes: [UInt8], on call: UpstreamCall?
    ) {
        var elements = unsafe JSONElements(of: array, in: bytes.span.bytes)
        var messages: [[UInt8]] = []
        while let element = unsafe elements.next(in: bytes.span.bytes) {
            messages.append(unsafe JSONScanner.copy(element, from: bytes.span.bytes))
        }
        for message in messages where message.first == UInt8(ascii: "{") {
            received(message, on: call)
        }
    }

    private func received(
        _ message: RPCMessage, in bytes: [UInt8], on call: UpstreamCall?
    ) {
        switch message.kind {
        case .result, .error:
            let id = unsafe JSONScanner.int(message.id, in: bytes.span.bytes)
            if let id, id == listenID {
                if message.kind == .error { listeningRefused() }
                return
            }
            calls.answer(id, bytes, message)
        case .request: answer(message, in: bytes, on: call)
        case .notification: take(message, in: bytes, on: call)
        }
    }

    private func take(_ message: RPCMessage, in bytes: [UInt8], on call: UpstreamCall?) {
        let span = unsafe bytes.span.bytes
        switch MCPMethod(message.method, in: span) {
        case .progress:
            guard let params = message.params else { return }
            let token = JSONScanner.member("progressToken", of: params, in: span)
            guard let id = JSONScanner.int(token, in: span) else { return }
            calls[id]?.listener?.progressed(JSONScanner.copy(params, from: span))
        case .toolsListChanged, .promptsListChanged, .resourcesListChanged:
            // While connecting the lists are being read anyway.
            if isConnected { refresh() }
        case .logMessage:
            // Without a stream of its own a message belongs to whoever is the only one asking.
            guard let params = message.params else { return }
            let owner = call?.listener ?? calls.onlyAsked?.listener
            owner?.logged(JSONScanner.copy(params, from: span))
        case .resourceUpdated:
            guard let params = message.params,
                let uri = JSONScanner.string(
                    JSONScanner.member("uri", of: params, in: span), in: span)
            else { return }
            resourceUpdated(self, uri)
        case .cancelled: withdrawQuestion(message.params, in: span)
        // Of a later revision, or only for information.
        default: break
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
