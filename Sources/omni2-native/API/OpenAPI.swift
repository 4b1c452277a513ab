import OmniCore

/// The OpenAPI 3.1 document of the REST surface, written from the route table and nothing else.
struct OpenAPI {
    let routes: [Router.Route]
    let version: String

    var document: JSONValue {
        var paths = JSONObject()
        for route in routes {
            var path = paths[route.pattern] ?? [:]
            path[route.method.name.lowercased()] = operation(route)
            paths[route.pattern] = path
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "omni2-native", "version": .string(version),
                "description":
                    "The gateway's administration. MCP itself is spoken at /mcp; events at /ws.",
            ],
            "servers": [["url": "/"]],
            "paths": .object(paths),
            "components": [
                "schemas": ["Failure": Self.failure],
                "securitySchemes": [
                    "token": [
                        "type": "http", "scheme": "bearer",
                        "description":
                            "An opaque token (omni2_mcp_…), a JSON web token, or the administrator's.",
                    ],
                    "session": [
                        "type": "apiKey", "in": "cookie", "name": "omni2_session",
                        "description": "A person who has logged in.",
                    ],
                ],
            ],
            "security": [["token": []], ["session": []]],
        ]
    }

    private func operation(_ route: Router.Route) -> JSONValue {
        let description = route.description
        var value: JSONValue = [
            "summary": .string(description.summary),
            "operationId": .string(Self.identifier(route)),
            "tags": [.string(Self.tag(route.pattern))],
            "x-access": .string(route.access.words),
        ]
        if let detail = description.detail { value["description"] = .string(detail) }
        if case .open = route.access { value["security"] = [] }
        let parameters = Self.names(in: route.pattern).map { name -> JSONValue in
            let schema = description.schema(ofPathValue: name)
            return ["name": .string(name), "in": "path", "required": true, "schema": schema.json]
        }
        let queries = description.query.map { parameter -> JSONValue in
            [
                "name": .string(parameter.name), "in": "query",
                "required": .bool(parameter.isRequired), "description": .string(parameter.help),
                "schema": parameter.schema.json,
            ]
        }
        if !parameters.isEmpty || !queries.isEmpty {
            value["parameters"] = .array(parameters + queries)
        }
        if let body = description.body {
            value["requestBody"] = [
                "required": .bool(!description.isBodyOptional),
                "content": ["application/json": ["schema": body.json]],
            ]
        }
        value["responses"] = responses(route)
        return value
    }

    private func responses(_ route: Router.Route) -> JSONValue {
        var value: JSONValue = [:]
        for answer in route.description.answers {
            var response: JSONValue = ["description": .string("\(answer.status.phrase)")]
            if let schema = answer.schema {
                response["content"] = [answer.contentType: ["schema": schema.json]]
            } else if answer.contentType != "application/json" {
                response["content"] = [answer.contentType: [:]]
            }
            value["\(answer.status.code)"] = response
        }
        let schema: JSONValue =
            route.description.failure?.json ?? ["$ref": "#/components/schemas/Failure"]
        value["default"] = [
            "description": "What was wrong, in a word and in a sentence.",
            "content": ["application/json": ["schema": schema]],
        ]
        return value
    }

    private static let failure: JSONValue = [
        "type": "object", "required": ["success", "error"],
        "properties": [
            "success": ["const": false], "error": ["type": "string"],
            "message": ["type": "string"], "path": ["type": "string"],
        ],
    ]

    private static func names(in pattern: String) -> [String] {
        pattern.split(separator: "/").filter { $0.hasPrefix("{") }.map {
            String($0.dropFirst().dropLast())
        }
    }

    /// `get_api_v1_users_id`.
    private static func identifier(_ route: Router.Route) -> String {
        let words = route.pattern.split { "/{}-.".contains($0) }
        return ([route.method.name.lowercased()[...]] + words).joined(separator: "_")
    }

    private static func tag(_ pattern: String) -> String {
        let words = pattern.split(separator: "/").filter { $0 != "api" && $0 != "v1" }
        return words.first.map(String.init) ?? "root"
    }
}

extension Router.Access {
    var words: String {
        switch self {
        case .open: "anybody"
        case .authenticated: "any valid credential"
        case .service(let service): "roles with the service \(service.rawValue)"
        case .viewer: "roles with dashboard_access view, operate or admin"
        case .operator: "roles with dashboard_access operate or admin"
        case .administrator: "administrators"
        }
    }
}

/// `/openapi.json`, and `/docs`, the page that shows it: one file, no outside host.
struct OpenAPIRoutes {
    /// The whole table, asked when somebody wants the document.
    let routes: () -> [Router.Route]

    func add(to router: inout Router) {
        router.on(
            .get, "/openapi.json", .open,
            "This document".described.answering(.ok, .map(.any))
        ) { call in
            let document = OpenAPI(routes: routes(), version: Main.version).document
            call.respond(HTTPResponse(json: document))
        }
        router.on(
            .get, "/docs", .open,
            "A page that shows this document".described
                .answering(.ok, type: "text/html; charset=utf-8")
        ) { call in
            var response = HTTPResponse(.ok, headers: Self.headers)
            response.contentType = "text/html; charset=utf-8"
            response.body = Array(OpenAPIPage.html.utf8)
            call.respond(response)
        }
    }

    /// Its own script and style and nothing else, whatever stands in a description.
    private static let headers: [HTTPResponse.Header] = [
        .init(
            name: "Content-Security-Policy",
            value: "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                + "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
        .init(name: "X-Content-Type-Options", value: "nosniff"),
        .init(name: "Referrer-Policy", value: "no-referrer"),
    ]
}
