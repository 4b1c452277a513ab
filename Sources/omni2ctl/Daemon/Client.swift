import OmniCore
import OmniIO

/// Asks the daemon and reads what it answers.
final class Client {
    struct Answer {
        let status: Int
        let json: JSONValue

        var isSuccess: Bool { (200...299).contains(status) }
        /// The daemon's own sentence about a refusal.
        var reason: String {
            json["message"]?.string ?? json["error"]?.string ?? json["reason"]?.string
                ?? "it answered with status \(status)"
        }
    }

    private static let bytesMax = 64 << 20
    private static let valuesMax = 1 << 22
    /// Longer than any call may take: `timeout_seconds` of a server is at most 300.
    private static let patience = Duration.seconds(330)

    private let http: HTTPClient
    let io: any IO
    let door: Door
    /// The command's own, for programs that it runs.
    let environment: Environment
    let progress: Progress
    /// Called when the command ends, by itself or by a signal.
    var atEnd: () -> Void = {}

    init(
        io: any IO, door: Door, environment: Environment, progress: Progress
    ) throws(SystemError) {
        self.progress = progress
        var settings = HTTPClient.Settings()
        settings.userAgent = "omni2ctl/\(Main.version)"
        http = try HTTPClient(io: io, settings: settings)
        self.io = io
        self.door = door
        self.environment = environment
    }

    func close() {
        atEnd()
        http.close()
    }

    /// Anything but success is thrown as the daemon put it.
    func get(_ path: String) async throws(Failure) -> JSONValue {
        try Self.accepted(try await ask("GET", path))
    }

    func post(_ path: String, _ body: JSONValue? = nil) async throws(Failure) -> JSONValue {
        try Self.accepted(try await ask("POST", path, body))
    }

    func put(_ path: String, _ body: JSONValue) async throws(Failure) -> JSONValue {
        try Self.accepted(try await ask("PUT", path, body))
    }

    func delete(_ path: String) async throws(Failure) -> JSONValue {
        try Self.accepted(try await ask("DELETE", path))
    }

    static func accepted(_ answer: Answer) throws(Failure) -> JSONValue {
        guard answer.isSuccess else { throw .failed(answer.reason) }
        return answer.json
    }

    /// For callers that read refusals too; only 401 and 403 are thrown.
    func ask(
        _ method: String, _ path: String, _ body: JSONValue? = nil
    ) async throws(Failure) -> Answer {
        let answer: Answer
        do throws(HTTPClientError) {
            answer = try await exchange(request(method, path, "application/json", body))
        } catch {
            throw failure(error)
        }
        try refuse(answer)
        return answer
    }

    /// A response that has no end, and whose head is there.
    func stream(
        _ path: String, lastEvent: UInt64?
    ) async throws(HTTPClientError) -> HTTPClientResponse {
        var request = request("GET", path, "text/event-stream", nil)
        if let lastEvent { request.headers.append(.init("Last-Event-ID", "\(lastEvent)")) }
        return try await http.send(request, until: io.now + .seconds(30))
    }

    /// What the daemon says where it does not stream.
    func answer(of response: HTTPClientResponse) async throws(Failure) -> Answer {
        do throws(HTTPClientError) {
            return try await read(response, until: io.now + .seconds(30))
        } catch {
            throw failure(error)
        }
    }

    private func request(
        _ method: String, _ path: String, _ accepted: String, _ body: JSONValue?
    ) -> HTTPClientRequest {
        var headers = [HTTPClientRequest.Header("Accept", accepted)]
        if let token = door.token { headers.append(.init("Authorization", "Bearer \(token)")) }
        if body != nil { headers.append(.init("Content-Type", "application/json")) }
        var request = HTTPClientRequest(
            method, door.url(path), headers: headers, body: body?.bytes)
        request.options.authorityFile = door.authorityFile
        return request
    }

    private func exchange(
        _ request: HTTPClientRequest
    ) async throws(HTTPClientError) -> Answer {
        let deadline = io.now + Self.patience
        return try await read(try await http.send(request, until: deadline), until: deadline)
    }

    private func read(
        _ response: HTTPClientResponse, until deadline: MonotonicTime
    ) async throws(HTTPClientError) -> Answer {
        let bytes = try await response.collect(bytesMax: Self.bytesMax, until: deadline)
        let limits = JSONLimits(bytesMax: Self.bytesMax, valuesMax: Self.valuesMax)
        do throws(JSONError) {
            let json = try JSONValue(parsing: bytes, limits: limits)
            return Answer(status: response.status, json: json)
        } catch {
            // A proxy's page, or another program's: its status is all that it tells us.
            guard response.status < 300 else {
                return Answer(status: response.status, json: .null)
            }
            throw .protocolError("the answer is not the daemon's (\(error))")
        }
    }

    /// Whether the daemon was not there, or was and the exchange went wrong.
    func failure(_ error: HTTPClientError) -> Failure {
        switch error {
        case .connectFailed, .tlsFailed, .timedOut(.connect), .reset:
            .unreachable(door.advice("\(error)"))
        case .invalidRequest: .usage("the daemon's address cannot be used: \(error)")
        case .timedOut, .tooLarge, .protocolError, .cancelled, .limitReached:
            .failed("the daemon's answer cannot be used: \(error)")
        }
    }

    func refuse(_ answer: Answer) throws(Failure) {
        switch (answer.status, door.token) {
        case (401, nil):
            throw .denied(
                "the daemon wants a token; give --token-file FILE, or --host with $OMNI2_TOKEN. "
                    + "On its socket root, the group omni2-admin and the daemon's own user need none"
            )
        case (401, _?):
            throw .denied(
                "the daemon does not know this token; omni2ctl token list shows which there are, and "
                    + "the operator's is in the file that [Access] AdminTokenFile= names")
        case (403, _):
            throw .denied("not allowed: \(answer.reason)")
        default: break
        }
    }
}
