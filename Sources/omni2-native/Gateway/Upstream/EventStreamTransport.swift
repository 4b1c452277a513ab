import OmniCore
import OmniIO

/// The form of 2024-11-05: one GET stream brings everything, its first event names the place to
/// POST to.
final class EventStreamTransport: UpstreamTransport {
    weak var sink: (any UpstreamSink)?
    var protocolVersion: String?
    let isStdio = false
    private let url: String
    private let credential: UpstreamCredential
    private let connection: HTTPClientRequest.Options
    private let io: any IO
    private let http: HTTPClient
    private let deadlines: UpstreamDeadlines
    private let stream = HTTPCancellation()
    private let opening: Promise<Result<String, UpstreamError>>

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
        opening = Promise(io)
    }

    func open(until deadline: MonotonicTime) async throws(UpstreamError) {
        io.spawn { await self.readAll(until: deadline) }
        _ = try await endpoint(until: deadline)
    }

    private func endpoint(until deadline: MonotonicTime) async throws(UpstreamError) -> String {
        guard let outcome = await opening.value(until: deadline) else {
            throw .timedOut("waiting for the endpoint event")
        }
        return try outcome.get()
    }

    // MARK: Receiving

    private func readAll(until deadline: MonotonicTime) async {
        do throws(UpstreamError) {
            let response = try await perform(
                request("GET", url, accepting: "text/event-stream"), deadline, stream)
            guard response.status == 200,
                case .eventStream = HTTPMediaType(response.header("content-type"))
            else { throw .transport("HTTP \(response.status) instead of an event stream") }
            try await read(response)
            throw .transport("the event stream ended")
        } catch {
            opening.fulfil(.failure(error))
            sink?.lost(error)
        }
    }

    private func read(_ response: HTTPClientResponse) async throws(UpstreamError) {
        let pump = EventPump(bytesMax: deadlines.messageBytesMax)
        while true {
            let chunk: [UInt8]?
            do throws(HTTPClientError) {
                chunk = try await response.nextChunk(until: .distantFuture)
            } catch {
                throw UpstreamError(error)
            }
            guard let chunk else { return }
            try pump.received(chunk) { name, data in
                switch name {
                case "endpoint": noteEndpoint(String(decoding: data, as: UTF8.self))
                case "message": sink?.received(data, on: nil)
                default: break
                }
            }
        }
    }

    private func noteEndpoint(_ text: String) {
        // Another origin would get our credentials.
        guard let target = SplitURL(url)?.resolve(text) else {
            opening.fulfil(.failure(.protocolViolation("the endpoint is on another origin")))
            return
        }
        opening.fulfil(.success(target))
    }

    // MARK: Sending

    func send(_ message: [UInt8], for call: UpstreamCall) async throws(UpstreamError) {
        try await post(message, call.isRepeatable, call.cancellation, call.deadline)
    }

    func send(_ message: [UInt8], until deadline: MonotonicTime) async throws(UpstreamError) {
        try await post(message, true, nil, deadline)
    }

    private func post(
        _ message: [UInt8], _ isRepeatable: Bool, _ cancellation: HTTPCancellation?,
        _ deadline: MonotonicTime
    ) async throws(UpstreamError) {
        var request = self.request(
            "POST", try await endpoint(until: deadline), accepting: "application/json")
        request.headers.append(.init("Content-Type", "application/json"))
        request.body = message
        request.isRepeatable = isRepeatable
        let response = try await perform(request, deadline, cancellation)
        guard (200..<300).contains(response.status) else {
            throw response.status == 404
                ? .sessionExpired : .transport("HTTP \(response.status)")
        }
        response.discard(until: io.now + .seconds(1))
    }

    private func request(
        _ method: String, _ url: String, accepting types: String
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(method, url)
        request.options = connection
        request.connectTimeout = deadlines.connect
        request.headers.append(.init("Accept", types))
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

    /// The one stream is open already.
    func listen(_ subscription: [UInt8]?) {}

    var cancelsByClosing: Bool { false }

    /// The stream was the session: it takes a new connection.
    func forgetSession() -> Bool { false }

    func close(until deadline: MonotonicTime) async {
        sink = nil
        stream.cancel()
    }
}
