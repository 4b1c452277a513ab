import OmniCore
import OmniIO

/// RFC 9728: what a client learns about us as a protected resource, so that it can fetch a token by
/// itself. Served only where web tokens are accepted.
struct ResourceMetadata {
    let access: Access

    static let path = "/.well-known/oauth-protected-resource"

    func add(to router: inout Router) {
        for path in [Self.path, Self.path + "/mcp"] {
            router.on(
                .get, path, .open,
                "OAuth protected resource metadata (RFC 9728)".described.answering(
                    .ok, .object([.required("resource", .shortText)], isOpen: true))
            ) { show($0) }
        }
    }

    private func show(_ call: Router.Call) {
        let settings = access.settings
        guard Self.isOffered(access) else {
            return call.fail(.notFound, "No authorization server is configured.")
        }
        var value: JSONValue = [
            "resource": .string(Self.resource(call.exchange, settings)),
            "authorization_servers": JSONValue(settings.authorizationServers),
            "bearer_methods_supported": ["header"], "resource_name": "omni2-native",
            "resource_documentation": .string(Self.origin(call.exchange, settings) + "/docs"),
        ]
        if !settings.scopes.isEmpty { value["scopes_supported"] = JSONValue(settings.scopes) }
        call.respond(
            HTTPResponse(
                json: value,
                headers: [.init(name: "Access-Control-Allow-Origin", value: "*")]))
    }

    static func isOffered(_ access: Access) -> Bool {
        access.webTokens.isConfigured || !access.settings.authorizationServers.isEmpty
    }

    static func resource(_ exchange: HTTPExchange, _ settings: Access.Settings) -> String {
        settings.resource ?? origin(exchange, settings) + "/mcp"
    }

    /// Where the client has the document from.
    static func location(_ exchange: HTTPExchange, _ settings: Access.Settings) -> String {
        origin(exchange, settings) + path + (exchange.request.path.hasPrefix("/mcp") ? "/mcp" : "")
    }

    /// As the client sees us. The host was checked before; the scheme is a trusted proxy's word.
    static func origin(_ exchange: HTTPExchange, _ settings: Access.Settings) -> String {
        if let resource = settings.resource, let split = SplitURL(resource) { return split.origin }
        let isTrusted = settings.proxies.trusts(exchange.peerAddress)
        let isSecure = isTrusted && exchange.request.header("X-Forwarded-Proto") == "https"
        return (isSecure ? "https://" : "http://") + exchange.request.authority
    }
}
