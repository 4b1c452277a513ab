import OmniCore
import OmniIO

/// Streamable HTTP: every message is a POST, answered by JSON or by an event stream; a GET stream
/// brings what belongs to no request (2025-03-26 to 2025-11-25), or a POST that asks for it does
/// (2026-07-28).
final class HTTPTransport: UpstreamTransport {
    weak var sink: (any UpstreamSink)?
    var protocolVersion: String?
    let isStdio = false
    private let url: String
    private let credential: UpstreamCredential
    private let connection: HTTPClientRequest.Options
    private let io: any IO
    private let http: HTTPClient
    private let deadlines: UpstreamDeadlines
    private var sessionID: String?
    private var listening: HTTPCancellation?
    private var isClosed = false
    /// The last error status that was no answer; what decides about the older form.
    private(set) var refusedStatus: Int?
    private(set) var cancelsByClosing = false

    init(
        url: String, credential: UpstreamCredential, connection: HTTPClientRequest.Options,
        io: any IO, http: HTTPClient, deadlines: UpstreamDeadlines
    ) {
        self.url = url
        self.credential = credential
        self.connection = connection
        self.io = io
        self.http = http
        self.deadlines = deadlines
    }

    /// Connections are made by need.
    func open(until deadline: MonotonicTime) async throws(UpstreamError) {}

    // MARK: Sending

    func send(_ message: [UInt8], for call: UpstreamCall) async throws(UpstreamError) {
        let deadline = call.deadline
        let session = sessionID
        let response = try await post(
            message, call.headers, call.isRepeatable, call.cancellation, deadline)
        if call.method == .initialize, let id = response.header("mcp-session-id") {
            sessionID = id
        }
        guard (200..<300).contains(response.status) else {
            return try await refused(response, session, call, deadline)
        }
        switch HTTPMediaType(response.header("content-type")) {
        case .json: deliver(try await collect(response, deadline), on: call)
        case .eventStream: try await readStream(response, for: call)
        case .other(let type):
            response.discard(until: io.now + .seconds(1))
            throw .protocolViolation(
                "answered \(call.method.name) with HTTP \(response.status) and \(type)")
        }
        if !call.hasEnded { throw .protocolViolation("the answer is not that of the request") }
    }

    func send(_ message: [UInt8], until deadline: MonotonicTime) async throws(UpstreamError) {
        let session = sessionID
        let response = try await post(message, [], true, nil, deadline)
        guard (200..<300).contains(response.status) else {
            return try await refused(response, session, nil, deadline)
        }
        response.discard(until: io.now + .seconds(1))
    }

    private func post(
        _ message: [UInt8], _ headers: [HTTPClientRequest.Header], _ isRepeatable: Bool,
        _ cancellation: HTTPCancellation?, _ deadline: MonotonicTime
    ) async throws(UpstreamError) -> HTTPClientResponse {
        var request = postRequest(message)
        request.headers += headers
        request.isRepeatable = isRepeatable
        return try await perform(request, deadline, cancellation)
    }

    private func postRequest(_ message: [UInt8]) -> HTTPClientRequest {
        var request = self.request("POST", accepting: "application/json, text/event-stream")
        request.headers.append(.init("Content-Type", "application/json"))
        request.body = message
        return request
    }

    private func request(_ method: String, accepting types: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(method, url)
        request.options = connection
        request.connectTimeout = deadlines.connect
        request.headers.append(.init("Accept", types))
        if let sessionID { request.headers.append(.init("Mcp-Session-Id", sessionID)) }
        if let protocolVersion {
            request.headers.append(.init("MCP-Protocol-Version", protocolVersion))
        }
        return request
    }

    private func perform(
        _ request: HTTPClientRequest, _ deadline: MonotonicTime, _ cancellation: HTTPCancellation?
    ) async throws(UpstreamError) -> HTTPClientResponse {
        while true {
            var authorized = request
            authorized.headers += try await credential.headers(until: deadline)
            do throws(HTTPClientError) {
                let response = try await http.send(
                    authorized, until: deadline, cancellation: cancellation)
                // A token may end before its time. Who refuses it has not looked at the request.
                guard response.status == 401, credential.wasRefused() else { return response }
                response.discard(until: io.now + .seconds(1))
            } catch {
                throw UpstreamError(error)
            }
        }
    }

    private func collect(
        _ response: HTTPClientResponse, _ deadline: MonotonicTime
    ) async throws(UpstreamError) -> [UInt8] {
        do throws(HTTPClientError) {
            return try await response.collect(
                bytesMax: deadlines.messageBytesMax, until: deadline)
        } catch {
            throw UpstreamError(error)
        }
    }

    /// An error status. A server may put a JSON-RPC error into it, which is an answer.
    private func refused(
        _ response: HTTPClientResponse, _ session: String?, _ call: UpstreamCall?,
        _ deadline: MonotonicTime
    ) async throws(UpstreamError) {
        let status = response.status
        var body: [UInt8] = []
        do throws(HTTPClientError) {
            body = try await response.collect(bytesMax: 64 << 10, until: deadline)
        } catch {
            // The status says enough; only the explanation is lost.
        }
        let text = HTTPRefusal.excerpt(body)
        if session != nil, HTTPRefusal.saysUnknownSession(status, text) { throw .sessionExpired }
        if let call, case .json = HTTPMediaType(response.header("content-type")) {
            deliver(body, on: call)
            if call.hasEnded { return }
        }
        refusedStatus = status
        throw .transport("HTTP \(status)\(text.isEmpty ? "" : ": ")\(text)")
    }

    private func deliver(_ message: [UInt8], on call: UpstreamCall?) {
        sink?.received(message, on: call)
    }

    // MARK: Event streams

    /// Reads the stream that answers a request, over as many connections as the server likes.
    private func readStream(
        _ first: HTTPClientResponse, for call: UpstreamCall
    ) async throws(UpstreamError) {
        let pump = EventPump(bytesMax: deadlines.messageBytesMax)
        var response = first
        while true {
            let failure = try await read(response, pump, for: call)
            if call.hasEnded {
                response.discard(until: io.now + .seconds(1))
                return
            }
            // Without an id the server could not know where to go on.
            guard !pump.lastEventID.isEmpty else {
                throw failure ?? .transport("the event stream ended before the answer")
            }
            await io.sleep(until: min(call.deadline, io.now + (pump.retry ?? .seconds(1))))
            if io.now >= call.deadline { throw call.lateness }
            response = try await resume(pump, call.cancellation, call.deadline)
        }
    }

    private func resume(
        _ pump: EventPump, _ cancellation: HTTPCancellation, _ deadline: MonotonicTime
    ) async throws(UpstreamError) -> HTTPClientResponse {
        var request = self.request("GET", accepting: "text/event-stream")
        request.headers.append(.init("Last-Event-ID", pump.lastEventID))
        let response = try await perform(request, deadline, cancellation)
        guard response.status == 200,
            case .eventStream = HTTPMediaType(response.header("content-type"))
        else { throw .transport("HTTP \(response.status) instead of the rest of the stream") }
        pump.restart()
        return response
    }

    /// Nil when the stream ended in good order or `isDone`; a lost connection is returned, since
    /// it may be resumed, and everything else thrown.
    private func read(
        _ response: HTTPClientResponse, _ pump: EventPump, for call: UpstreamCall
    ) async throws(UpstreamError) -> UpstreamError? {
        while !call.hasEnded {
            let chunk: [UInt8]?
            do throws(HTTPClientError) {
                chunk = try await response.nextChunk(until: call.deadline)
            } catch {
                if error == .timedOut(.body) {
                    if io.now < call.deadline { continue }
                    throw call.lateness
                }
                if case .reset = error { return UpstreamError(error) }
                throw UpstreamError(error)
            }
            guard let chunk else { return nil }
            try pump.received(chunk) { name, data in
                // An event without data only carries an id to resume after.
                if name == "message", !data.isEmpty { deliver(data, on: call) }
            }
        }
        return nil
    }

    // MARK: The listening stream

    func listen(_ subscription: [UInt8]?) {
        guard !isClosed, listening == nil || subscription != nil else { return }
        let cancellation = HTTPCancellation()
        let old = listening
        listening = cancellation
        // The new stream is asked for before the old one ends, so that little falls between them.
        defer { old?.cancel() }
        cancelsByClosing = subscription != nil
        io.spawn { await self.listen(subscription, cancellation) }
    }

    private func listen(_ subscription: [UInt8]?, _ cancellation: HTTPCancellation) async {
        let pump = EventPump(bytesMax: deadlines.messageBytesMax)
        var failures = 0
        var shortStreams = 0
        var hasWorked = false
        while !cancellation.isCancelled {
            let start = io.now
            switch await listenOnce(subscription, pump, cancellation, isFirst: !hasWorked) {
            case .ended:
                hasWorked = true
                failures = 0
                // Some servers end the stream at once, every time: not a loss, but no hurry either.
                shortStreams = io.now - start < .seconds(5) ? shortStreams + 1 : 0
            case .notOffered:
                if listening === cancellation { listening = nil }
                if hasWorked {
                    sink?.lost(.sessionExpired)
                } else if subscription != nil {
                    sink?.listeningRefused()
                }
                return
            case .failed(let error):
                failures += 1
                if failures > Self.listenFailuresMax { return lost(error, hasWorked) }
            }
            if cancellation.isCancelled { return }
            let pause = pump.retry ?? deadlines.streamRetry
            let doublings = min(max(failures, shortStreams), 7) - 1
            await io.sleep(until: io.now + min(pause * (1 << max(0, doublings)), .seconds(60)))
        }
    }

    private static let listenFailuresMax = 4

    /// A stream that never worked is no loss: calls will tell whether the server is there.
    private func lost(_ error: UpstreamError, _ hasWorked: Bool) {
        if hasWorked { sink?.lost(error) }
    }

    private enum Listening {
        case ended
        case notOffered
        case failed(UpstreamError)
    }

    private func listenRequest(_ subscription: [UInt8]?, _ pump: EventPump) -> HTTPClientRequest {
        if let subscription {
            var request = postRequest(subscription)
            request.headers.append(.init("Mcp-Method", "subscriptions/listen"))
            request.isRepeatable = true
            return request
        }
        var request = self.request("GET", accepting: "text/event-stream")
        if !pump.lastEventID.isEmpty {
            request.headers.append(.init("Last-Event-ID", pump.lastEventID))
        }
        return request
    }

    private func listenOnce(
        _ subscription: [UInt8]?, _ pump: EventPump, _ cancellation: HTTPCancellation,
        isFirst: Bool
    ) async -> Listening {
        let request = listenRequest(subscription, pump)
        do throws(UpstreamError) {
            let response = try await perform(
                request, io.now + deadlines.handshake, cancellation)
            guard response.status == 200,
                case .eventStream = HTTPMediaType(response.header("content-type"))
            else {
                response.discard(until: io.now + .seconds(1))
                // 5xx is a passing state; anything else says that there is no such stream.
                return response.status >= 500
                    ? .failed(.transport("HTTP \(response.status) to the listening stream"))
                    : .notOffered
            }
            pump.restart()
            // Where the server can replay, nothing was lost.
            if !isFirst && pump.lastEventID.isEmpty { sink?.listenedAgain() }
            while !cancellation.isCancelled {
                let chunk: [UInt8]?
                do throws(HTTPClientError) {
                    chunk = try await response.nextChunk(until: io.now + deadlines.streamSilence)
                } catch {
                    if error == .timedOut(.body) || error.isReset { return .ended }
                    throw UpstreamError(error)
                }
                guard let chunk else { return .ended }
                try pump.received(chunk) { name, data in
                    if name == "message", !data.isEmpty { deliver(data, on: nil) }
                }
            }
            return .ended
        } catch {
            return .failed(error)
        }
    }

    // MARK: Closing

    func forgetSession() -> Bool {
        sessionID = nil
        protocolVersion = nil
        listening?.cancel()
        listening = nil
        return true
    }

    func close(until deadline: MonotonicTime) async {
        isClosed = true
        sink = nil
        listening?.cancel()
        guard sessionID != nil else { return }
        let request = self.request("DELETE", accepting: "application/json, text/event-stream")
        sessionID = nil
        do throws(UpstreamError) {
            let response = try await perform(request, deadline, nil)
            response.discard(until: io.now + .seconds(1))
        } catch {
            // A server that is away forgets the session by itself.
        }
    }
}

extension HTTPClientError {
    fileprivate var isReset: Bool {
        if case .reset = self { true } else { false }
    }
}

/// The two media types MCP knows.
enum HTTPMediaType {
    case json, eventStream
    /// What it was instead, for the journal.
    case other(String)

    init(_ contentType: String?) {
        let type = contentType?.lowercased().prefix { $0 != ";" && $0 != " " } ?? "no content type"
        switch type {
        case "application/json": self = .json
        case "text/event-stream": self = .eventStream
        default: self = .other(String(type.prefix(100)))
        }
    }
}

/// What an error response tells.
enum HTTPRefusal {
    /// The beginning of the body, on one line.
    static func excerpt(_ body: [UInt8]) -> String {
        let text = body.prefix(300).map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 }
        return String(decoding: text, as: UTF8.self)
    }

    /// 404 says so by the specification; servers in the field say it with 400 and a sentence.
    static func saysUnknownSession(_ status: Int, _ text: String) -> Bool {
        status == 404 || (status == 400 && text.lowercased().contains("session"))
    }
}
