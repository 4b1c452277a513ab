import OmniCore
import OmniIO

/// What every request to a server carries to show who we are: fixed headers, or a token that we get
/// and renew by OAuth 2.1 client credentials. Never anything of a caller's.
final class UpstreamCredential {
    private let authentication: ServerConfiguration.Authentication
    private let resource: String
    private let connection: HTTPClientRequest.Options
    private let io: any IO
    private let http: HTTPClient
    private var token: (header: HTTPClientRequest.Header, expires: MonotonicTime)?
    private var fetching: Promise<Result<HTTPClientRequest.Header, UpstreamError>>?

    /// A token is renewed so long before its end.
    private static let margin = Duration.seconds(30)
    /// How long a token lives whose server does not say.
    private static let assumedLife = 300
    private static let fetchTime = Duration.seconds(10)

    init(
        _ authentication: ServerConfiguration.Authentication, resource: String,
        connection: HTTPClientRequest.Options, io: any IO, http: HTTPClient
    ) {
        self.authentication = authentication
        self.resource = resource
        self.connection = connection
        self.io = io
        self.http = http
    }

    func headers(
        until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [HTTPClientRequest.Header] {
        guard case .oauth(let client) = authentication else { return authentication.headers }
        if let token, io.now < token.expires { return [token.header] }
        return [try await fetch(client, until: deadline)]
    }

    /// The server did not accept what it was shown; true when something new can be shown.
    func wasRefused() -> Bool {
        guard token != nil else { return false }
        token = nil
        return true
    }

    /// One request for all that wait.
    private func fetch(
        _ client: ServerConfiguration.OAuthClient, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> HTTPClientRequest.Header {
        if fetching == nil {
            let promise = Promise<Result<HTTPClientRequest.Header, UpstreamError>>(io)
            fetching = promise
            io.spawn {
                let outcome = await self.ask(client)
                self.fetching = nil
                promise.fulfil(outcome)
            }
        }
        guard let outcome = await fetching?.value(until: deadline) else {
            throw .timedOut("waiting for an access token")
        }
        return try outcome.get()
    }

    private func ask(
        _ client: ServerConfiguration.OAuthClient
    ) async -> Result<HTTPClientRequest.Header, UpstreamError> {
        let deadline = io.now + Self.fetchTime
        do throws(HTTPClientError) {
            let response = try await http.send(request(client), until: deadline)
            let body = try await response.collect(bytesMax: 64 << 10, until: deadline)
            guard response.status == 200, let answer = try? JSONValue(parsing: body),
                let text = answer["access_token"]?.string,
                text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else {
                return .failure(
                    .transport(
                        "HTTP \(response.status) instead of an access token from \(client.tokenURL)"
                    ))
            }
            let life = Duration.seconds(answer["expires_in"]?.int ?? Int64(Self.assumedLife))
            let header = HTTPClientRequest.Header("Authorization", "Bearer \(text)")
            token = (header, io.now + max(life - Self.margin, life / 2))
            return .success(header)
        } catch {
            return .failure(.transport("no access token from \(client.tokenURL): \(error)"))
        }
    }

    private func request(_ client: ServerConfiguration.OAuthClient) -> HTTPClientRequest {
        var form = [
            ("grant_type", "client_credentials"), ("resource", client.resource ?? resource),
        ]
        if let scope = client.scope { form.append(("scope", scope)) }
        var request = HTTPClientRequest("POST", client.tokenURL)
        request.options = connection
        request.headers = [
            .init("Content-Type", "application/x-www-form-urlencoded"),
            .init("Accept", "application/json"),
        ]
        if client.sendsSecretInBody {
            form += [("client_id", client.id), ("client_secret", client.secret)]
        } else {
            // RFC 6749 §2.3.1: both parts are encoded like a form before they are joined.
            let pair = Array("\(Self.encoded(client.id)):\(Self.encoded(client.secret))".utf8)
            var text = ByteWriter(capacity: pair.count / 3 * 4 + 4)
            pair.withRawSpan { Base64.encode($0, into: &text) }
            request.headers.append(.init("Authorization", "Basic \(text.string())"))
        }
        let fields = form.filter { !$0.1.isEmpty }
        request.body = Array(
            fields.map { "\($0.0)=\(Self.encoded($0.1))" }.joined(separator: "&").utf8)
        return request
    }

    private static func encoded(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."), UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += "%" + (byte < 16 ? "0" : "") + digits
            }
        }
        return encoded
    }
}
