import OmniCore
import OmniIO

/// The HTTP surface: checks Host and Origin, asks Access who is there, and hands over to a route.
///
/// Each area adds its routes in a file of its own (`HealthRoutes`, `ServerRoutes`, …).
final class API {
    private var router = Router()
    private let io: any IO
    private let access: Access
    private let challenges: Challenges
    private let telemetry: Telemetry
    /// Both change at a reload.
    var hosts: HostPolicy
    var origins: OriginPolicy
    private let log: Log
    /// Somebody known was not let into a service.
    var stopped: (Principal, Access.Refusal, HTTPExchange) -> Void = { _, _, _ in }

    init(
        io: any IO, access: Access, hosts: HostPolicy, origins: OriginPolicy,
        telemetry: Telemetry, log: Log
    ) {
        self.io = io
        self.access = access
        challenges = Challenges(access: access)
        self.hosts = hosts
        self.origins = origins
        self.telemetry = telemetry
        self.log = log
    }

    func add(_ routes: (inout Router) -> Void) { routes(&router) }

    var routes: [Router.Route] { router.all }

    func handle(_ exchange: HTTPExchange) {
        telemetry.received(exchange).run { route(exchange) }
    }

    private func route(_ exchange: HTTPExchange) {
        let request = exchange.request
        guard isForUs(exchange) else {
            return exchange.respond(
                .failure(
                    .misdirectedRequest,
                    "Host \(request.authority) is not a name of this server; add it to [HTTP] "
                        + "AllowedHosts= if it is.", path: request.path))
        }
        guard isFromAllowedOrigin(request) else {
            return exchange.respond(
                .failure(
                    .forbidden,
                    "Pages of this Origin may not call; add it to [HTTP] AllowedOrigins= if they "
                        + "may.", path: request.path))
        }
        switch router.match(request) {
        case .unknownPath:
            exchange.respond(
                .failure(.notFound, "There is nothing at this path.", path: request.path))
        case .wrongMethod(let allowed):
            exchange.respond(
                .failure(
                    .methodNotAllowed, "This path answers \(allowed).", path: request.path,
                    headers: [.init(name: "Allow", value: allowed)]))
        case .found(let route, let needed, let handle):
            exchange.route = route
            admit(exchange, needed, handle)
        }
    }

    private func admit(
        _ exchange: HTTPExchange, _ needed: Router.Access, mayReadKeys: Bool = true,
        _ handle: @escaping (HTTPExchange, Principal) -> Void
    ) {
        if case .open = needed { return handle(exchange, .anonymous) }
        let principal: Principal
        do throws(Access.Denial) {
            principal = try access.authenticate(exchange)
        } catch {
            if case .keysNeeded = error, mayReadKeys {
                return io.spawn {
                    await self.access.webTokens.readKeys()
                    self.admit(exchange, needed, mayReadKeys: false, handle)
                }
            }
            return exchange.respond(challenges.answer(error, exchange))
        }
        if let obstacle = obstacle(principal, needed, exchange) {
            if case .service(let service) = needed,
                let refusal = access.refusal(principal, from: service)
            {
                stopped(principal, refusal, exchange)
            }
            access.audit.denied(
                exchange, by: principal, action: exchange.request.methodName,
                reason: obstacle.reason)
            return exchange.respond(
                .failure(
                    obstacle.status, obstacle.reason, path: exchange.request.path,
                    headers: obstacle.headers))
        }
        handle(exchange, principal)
    }

    private struct Obstacle {
        var status = HTTPStatus.forbidden
        let reason: String
        var headers: [HTTPResponse.Header] = []
    }

    /// Why somebody who is known may not come here all the same.
    private func obstacle(
        _ principal: Principal, _ needed: Router.Access, _ exchange: HTTPExchange
    ) -> Obstacle? {
        switch needed {
        case .open, .authenticated: return nil
        case .service(let service):
            return access.refusal(principal, from: service).map { refusal in
                var headers = refusal.headers
                if case .insufficientScope(let scopes) = refusal {
                    headers.append(challenges.insufficientScope(scopes, exchange))
                }
                return Obstacle(
                    status: refusal.status, reason: refusal.message, headers: headers)
            }
        case .viewer:
            return principal.permission.dashboard >= .view
                ? nil : Obstacle(reason: "This needs a role that may look at dashboards.")
        case .operator:
            return principal.isOperator
                ? nil : Obstacle(reason: "This needs a role that may operate.")
        case .administrator:
            return principal.isAdministrator
                ? nil : Obstacle(reason: "This needs the role of an administrator.")
        }
    }

    /// Clients of the Unix socket name no host that means anything.
    private func isForUs(_ exchange: HTTPExchange) -> Bool {
        if exchange.listener?.isLocal == true { return true }
        return exchange.request.withHead { head, bytes in
            // HTTP/1.0 may leave Host out; such a client is no browser.
            // The last asks the kernel, so it comes last.
            head.authority.isEmpty || hosts.allows(head.authority, in: bytes)
                || isOwnAddress(exchange, head.authority, bytes)
        }
    }

    /// The address the client connected to is ours whatever the configuration says, and cannot be
    /// a foreign site's name.
    private func isOwnAddress(
        _ exchange: HTTPExchange, _ authority: ByteRange, _ bytes: RawSpan
    ) -> Bool {
        guard let local = exchange.localAddress else { return false }
        let name = bytes.string(authority)
        return name == local.description || name == local.host
    }

    private func isFromAllowedOrigin(_ request: HTTPRequest) -> Bool {
        request.withHead { head, bytes in
            origins.allows(
                head.value(of: "Origin", in: bytes), authority: head.authority, in: bytes)
        }
    }
}
