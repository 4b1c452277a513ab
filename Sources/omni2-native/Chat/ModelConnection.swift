import OmniCore
import OmniIO

/// POSTs a request and feeds the events of its answer to a reader: the same for both protocols.
struct ModelConnection {
    let http: HTTPClient
    let io: any IO
    let url: String
    let headers: [HTTPClientRequest.Header]
    /// Between two pieces of an answer; models think, and then say so.
    static let silenceMax = Duration.seconds(60)
    private static let eventBytesMax = 4 << 20
    private static let refusalBytesMax = 64 << 10

    /// `usage` is told in any case, what was used is paid for.
    func stream<Reader: ModelStreamReader>(
        _ body: JSONValue, into reader: Reader, until deadline: MonotonicTime,
        cancellation: HTTPCancellation, text: (String) -> Void
    ) async throws(ModelError) -> ModelTurn {
        var request = HTTPClientRequest("POST", url, headers: headers, body: body.bytes)
        request.headers.append(.init("Content-Type", "application/json"))
        request.headers.append(.init("Accept", "text/event-stream"))
        let response: HTTPClientResponse
        do throws(HTTPClientError) {
            response = try await http.send(request, until: deadline, cancellation: cancellation)
        } catch {
            throw Self.error(error)
        }
        guard response.status == 200 else { throw await refusal(response, deadline) }
        var reader = reader
        let pump = EventPump(bytesMax: Self.eventBytesMax)
        while let chunk = try await next(response, deadline) {
            var failure: ModelError?
            do throws(UpstreamError) {
                try pump.received(chunk) { _, data in
                    guard failure == nil else { return }
                    do throws(ModelError) {
                        if let piece = try Self.read(data, &reader) { text(piece) }
                    } catch {
                        failure = error
                    }
                }
            } catch {
                throw .broken(error.description)
            }
            if let failure {
                response.cancel()
                throw failure
            }
        }
        return try reader.finished()
    }

    private static func read<Reader: ModelStreamReader>(
        _ data: [UInt8], _ reader: inout Reader
    ) throws(ModelError) -> String? {
        // OpenAI's last word is not JSON.
        if data.isEmpty || data == Array("[DONE]".utf8) { return nil }
        guard let event = EventBus.object(data) else { throw .broken("an event is no JSON object") }
        return try reader.received(event)
    }

    private func next(
        _ response: HTTPClientResponse, _ deadline: MonotonicTime
    ) async throws(ModelError) -> [UInt8]? {
        do throws(HTTPClientError) {
            return try await response.nextChunk(until: min(deadline, io.now + Self.silenceMax))
        } catch {
            response.cancel()
            throw Self.error(error)
        }
    }

    private static func error(_ error: HTTPClientError) -> ModelError {
        switch error {
        case .cancelled: .cancelled
        case .timedOut: .timedOut
        case .reset(let reason), .protocolError(let reason): .broken(reason)
        default: .unavailable(error.description)
        }
    }

    /// Both protocols say `{"error": {"message": …}}`.
    private func refusal(
        _ response: HTTPClientResponse, _ deadline: MonotonicTime
    ) async -> ModelError {
        let status = response.status
        let body = try? await response.collect(
            bytesMax: Self.refusalBytesMax, until: min(deadline, io.now + .seconds(5)))
        let message = body.flatMap { EventBus.object($0) }?["error"]
        let text = (message?["message"]?.string ?? message?.string ?? "no reason given").prefix(500)
        return status == 429 || status >= 500
            ? .unavailable("\(text) (\(status))") : .refused(status: status, String(text))
    }
}
