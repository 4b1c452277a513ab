import OmniCore
import OmniIO

/// `auth_type` and `auth_config` of a server as one value, and back; encrypted where a key is there.
///
/// In the open the column holds what OMNI2 wrote: `{"token": …}` or `{"api_key": …}` for `bearer`,
/// `{"header_name": …, "api_key": …}` for `api_key`, `{"headers": {…}}` for `custom_headers`. Sealed it
/// holds `{"enc": "v1:BASE64"}` of that text. Open rows are read either way.
struct AuthenticationColumns {
    typealias Authentication = ServerConfiguration.Authentication

    private static let place = "omni2.mcp_servers.auth_config"
    private static let version = "v1:"
    private static let defaultHeader = "X-API-Key"

    let box: SecretBox?

    /// Nil in `type` leaves both columns as they are.
    struct Columns: Equatable {
        var type: String?
        var config: String?
        var isKept = false
    }

    func columns(of authentication: Authentication) -> Columns {
        switch authentication {
        case .none: Columns()
        case .bearer(let token): sealed("bearer", ["token": .string(token)])
        case .apiKey(let header, let key):
            sealed("api_key", ["header_name": .string(header), "api_key": .string(key)])
        case .headers(let headers):
            sealed("custom_headers", ["headers": Self.members(headers)])
        case .oauth(let client): sealed("oauth2", client.config)
        case .unreadable: Columns(isKept: true)
        }
    }

    private static func members(_ headers: [ServerConfiguration.Header]) -> JSONValue {
        .object(JSONObject(headers.map { (name: $0.name, value: .string($0.value)) }))
    }

    private func sealed(_ type: String, _ config: JSONValue) -> Columns {
        let text = config.text
        guard let box else { return Columns(type: type, config: text) }
        let sealed = Self.version + box.sealText(text, for: Self.place)
        return Columns(type: type, config: (["enc": .string(sealed)] as JSONValue).text)
    }

    func authentication(type: String?, config: String?) -> Authentication {
        guard let type, !type.isEmpty, type != "none" else { return .none }
        guard let config, let value = try? JSONValue(parsing: config) else {
            return .unreadable(type: type, reason: "auth_config is not JSON")
        }
        guard let sealed = value.object?["enc"]?.string else { return read(type, value) }
        guard sealed.hasPrefix(Self.version) else {
            return .unreadable(type: type, reason: "unknown encryption")
        }
        guard let box else {
            return .unreadable(type: type, reason: "encrypted, and no key is configured")
        }
        let text = box.openText(String(sealed.dropFirst(Self.version.count)), for: Self.place)
        guard let text, let value = try? JSONValue(parsing: text) else {
            return .unreadable(type: type, reason: "encrypted with another key")
        }
        return read(type, value)
    }

    private func read(_ type: String, _ value: JSONValue) -> Authentication {
        switch type {
        case "bearer":
            guard let token = value["token"]?.string ?? value["api_key"]?.string else {
                return .unreadable(type: type, reason: "auth_config has no token")
            }
            return .bearer(token: token)
        case "api_key":
            guard let key = value["api_key"]?.string else {
                return .unreadable(type: type, reason: "auth_config has no api_key")
            }
            return .apiKey(header: value["header_name"]?.string ?? Self.defaultHeader, key: key)
        case "custom_headers":
            guard let headers = value["headers"]?.object else {
                return .unreadable(type: type, reason: "auth_config has no headers")
            }
            return .headers(
                headers.members.compactMap { member in
                    member.value.string.map { .init(name: member.name, value: $0) }
                })
        case "oauth2":
            guard let client = ServerConfiguration.OAuthClient(value) else {
                return .unreadable(
                    type: type, reason: "auth_config needs token_url, client_id and client_secret")
            }
            return .oauth(client)
        default: return .unreadable(type: type, reason: "unknown auth_type")
        }
    }
}

extension ServerConfiguration.OAuthClient {
    /// `token_url`, `client_id`, `client_secret`; `scope`, `resource` and `client_auth` (`basic` or
    /// `post`) where wanted. Nil when one of the first three is missing.
    init?(_ config: JSONValue) {
        guard let url = config["token_url"]?.string, let id = config["client_id"]?.string,
            let secret = config["client_secret"]?.string, !id.isEmpty,
            url.hasPrefix("https://") || url.hasPrefix("http://")
        else { return nil }
        tokenURL = url
        self.id = id
        self.secret = secret
        scope = config["scope"]?.string
        resource = config["resource"]?.string
        sendsSecretInBody = config["client_auth"]?.string == "post"
    }

    var config: JSONValue {
        var config: JSONValue = [
            "token_url": .string(tokenURL), "client_id": .string(id),
            "client_secret": .string(secret),
        ]
        if let scope { config["scope"] = .string(scope) }
        if let resource { config["resource"] = .string(resource) }
        if sendsSecretInBody { config["client_auth"] = "post" }
        return config
    }
}
