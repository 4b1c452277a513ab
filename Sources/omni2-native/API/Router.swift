import OmniCore

/// Which handler answers a path. Patterns are literal segments and `{name}`, which takes one.
///
/// A path without values is found as a whole; the others by a walk over a few dozen routes, grouped
/// by their number of segments.
struct Router {
    typealias Handler = (Call) -> Void

    /// One request on its way through its handler.
    struct Call {
        let exchange: HTTPExchange
        let principal: Principal
        fileprivate let values: [(name: String, value: String)]
        /// The body, where the route's description has one: read and checked.
        fileprivate(set) var body: JSONValue = [:]

        init(_ exchange: HTTPExchange, _ principal: Principal) {
            self.init(exchange, principal, values: [])
        }

        fileprivate init(
            _ exchange: HTTPExchange, _ principal: Principal,
            values: [(name: String, value: String)]
        ) {
            self.exchange = exchange
            self.principal = principal
            self.values = values
        }

        var request: HTTPRequest { exchange.request }

        /// What stood for `{name}` in the path.
        subscript(name: String) -> String { values.first { $0.name == name }?.value ?? "" }

        /// A yes or no of the query; nil when it is not there.
        func flag(_ name: String) -> Bool? {
            request.query(name).flatMap(RouteDescription.Parameter.flag)
        }

        /// The body as JSON; answers 400 itself when it is none.
        func json() -> JSONValue? {
            do throws(JSONError) {
                return try JSONValue(parsing: request.body)
            } catch {
                fail(.badRequest, "The body is not JSON: \(error).")
                return nil
            }
        }

        /// The same, and what the schema says; answers 400 itself.
        fileprivate func body(_ schema: JSONSchema, isOptional: Bool) -> JSONValue? {
            if isOptional, request.body.isEmpty { return [:] }
            guard let value = json() else { return nil }
            do throws(JSONSchema.Mismatch) {
                try schema.check(value)
                return value
            } catch {
                fail(.badRequest, "\(error).")
                return nil
            }
        }

        func respond(_ response: HTTPResponse) { exchange.respond(response) }

        func fail(
            _ status: HTTPStatus, _ message: String, headers: [HTTPResponse.Header] = []
        ) {
            respond(.failure(status, message, path: request.path, headers: headers))
        }
    }

    struct Route {
        let method: HTTPMethod
        let pattern: String
        fileprivate let segments: [Segment]
        let access: Access
        let description: RouteDescription
        let handler: Handler

        /// Checks what the description says, and hands over.
        fileprivate func run(_ call: Call) {
            var call = call
            for (name, text) in call.values {
                let schema = description.schema(ofPathValue: name)
                var value = JSONValue.string(text)
                if case .integer = schema {
                    // What is no number at all, the handler explains better.
                    guard let number = Int64(text) else { continue }
                    value = .int(number)
                }
                if !schema.allows(value) {
                    return call.fail(.notFound, "There is no \(name) \(text.prefix(100)).")
                }
            }
            for parameter in description.query {
                let given = call.request.queries(parameter.name)
                if given.isEmpty, !parameter.isRequired { continue }
                guard given.count == 1 else {
                    return call.fail(
                        .badRequest,
                        "\(parameter.name) is \(given.isEmpty ? "missing" : "given twice").")
                }
                guard let text = given[0], parameter.value(of: text) != nil else {
                    return call.fail(
                        .badRequest, "\(parameter.name) is not what it may be: \(parameter.help)")
                }
            }
            if let schema = description.body {
                guard let body = call.body(schema, isOptional: description.isBodyOptional) else {
                    return
                }
                call.body = body
            }
            handler(call)
        }
    }

    /// In the order they were added.
    private(set) var all: [Route] = []

    fileprivate enum Segment {
        case literal(String)
        case value(String)
    }

    /// Who may come: decided before the handler is called.
    enum Access {
        /// Anybody: health.
        case open
        /// Whoever shows a valid credential.
        case authenticated
        /// Whom the role lets into a service, unless blocked from it.
        case service(Permission.Service)
        /// Who may look at dashboards: `dashboard_access` is `view`, `operate` or `admin`.
        case viewer
        /// Who may act on servers, cache and monitoring: `operate` or `admin`.
        case `operator`
        /// Administrators.
        case administrator
    }

    enum Match {
        /// `route` is the pattern: what figures are kept under.
        case found(route: String, access: Access, handle: (HTTPExchange, Principal) -> Void)
        case wrongMethod(allowed: String)
        case unknownPath
    }

    private var routes: [Int: [Route]] = [:]
    /// Routes whose pattern is the path.
    private var literal: [String: [Route]] = [:]

    mutating func on(
        _ method: HTTPMethod, _ pattern: String, _ access: Access = .administrator,
        _ description: RouteDescription? = nil, _ handler: @escaping Handler
    ) {
        let segments = Self.split(pattern).map { text in
            text.hasPrefix("{")
                ? Segment.value(String(text.dropFirst().dropLast())) : .literal(String(text))
        }
        let route = Route(
            method: method, pattern: pattern, segments: segments, access: access,
            description: description ?? RouteDescription("\(method.name) \(pattern)"),
            handler: handler)
        all.append(route)
        routes[segments.count, default: []].append(route)
        if !pattern.contains("{") { literal[pattern, default: []].append(route) }
    }

    func match(_ request: HTTPRequest) -> Match {
        // HEAD is GET without the body, which the exchange leaves out.
        let method = request.method == .head ? .get : request.method
        // A path that is a route's own belongs to it alone, whatever patterns would fit.
        if let routes = literal[request.path] {
            guard let route = routes.first(where: { $0.method == method }) else {
                return .wrongMethod(allowed: routes.map(\.method.name).joined(separator: ", "))
            }
            return .found(route: route.pattern, access: route.access) { exchange, principal in
                route.run(Call(exchange, principal))
            }
        }
        let parts = Self.split(request.path)
        var allowed: [String] = []
        for route in routes[parts.count] ?? [] {
            guard let values = Self.values(of: route.segments, in: parts) else { continue }
            if route.method == method {
                return .found(route: route.pattern, access: route.access) { exchange, principal in
                    route.run(Call(exchange, principal, values: values))
                }
            }
            allowed.append(route.method.name)
        }
        return allowed.isEmpty
            ? .unknownPath : .wrongMethod(allowed: allowed.joined(separator: ", "))
    }

    private static func split(_ path: String) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: true)
    }

    private static func values(
        of segments: [Segment], in parts: [Substring]
    ) -> [(name: String, value: String)]? {
        var values: [(name: String, value: String)] = []
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .literal(let text): if text != part { return nil }
            case .value(let name): values.append((name, String(part)))
            }
        }
        return values
    }
}

extension HTTPMethod {
    var name: String {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        case .other: "other"
        }
    }
}
