import OmniCore
import OmniIO

/// The gates between a credential and a service, in the order a flow records them: block, service,
/// requests per hour, cost per day. One answer for MCP, REST and chat; each says it in its own words
/// and with `message`.
extension Access {
    enum Refusal: Error, Equatable {
        /// `block_check`: the operator's own message, or ours.
        case blocked(message: String)
        /// The role is not let into the service.
        case notGranted(Permission.Service)
        /// The OAuth token was made for less.
        case insufficientScope([String])
        /// `usage_check`.
        case tooManyRequests(RateStanding)
        case costExceeded(used: Double, limit: Double)

        /// For the person.
        var message: String {
            switch self {
            case .blocked(let message): message
            case .notGranted(let service): "Your role has no access to \(service.rawValue)."
            case .insufficientScope(let scopes):
                "The token lacks the scope \(scopes.joined(separator: " "))."
            case .tooManyRequests(let standing):
                "As many requests as allowed in an hour (\(standing.limit)); try again in "
                    + "\(standing.retryAfterSeconds) s."
            case .costExceeded(let used, let limit):
                "Today's budget is used up: \(Self.dollars(used)) of \(Self.dollars(limit))."
            }
        }

        var status: HTTPStatus {
            switch self {
            case .blocked, .notGranted, .insufficientScope: .forbidden
            case .tooManyRequests, .costExceeded: .tooManyRequests
            }
        }

        var headers: [HTTPResponse.Header] {
            if case .tooManyRequests(let standing) = self {
                return standing.headers
                    + [.init(name: "Retry-After", value: "\(standing.retryAfterSeconds)")]
            }
            return []
        }

        private static func dollars(_ amount: Double) -> String {
            let cents = Int64((amount * 100).rounded())
            let rest = cents % 100
            return "$\(cents / 100).\(rest < 10 ? "0" : "")\(rest)"
        }
    }

    /// Blocks and services: asked for everything one does with a service, counts nothing.
    func refusal(_ principal: Principal, from service: Permission.Service) -> Refusal? {
        if let user = principal.userID, let block = snapshot.person(user)?.block(from: service) {
            return .blocked(
                message: block.message ?? "Access to \(service.rawValue) has been blocked.")
        }
        guard principal.permission.services.contains(service) else { return .notGranted(service) }
        if service == .mcp, !principal.missingScopes.isEmpty {
            return .insufficientScope(principal.missingScopes)
        }
        return nil
    }

    /// Counts one request that does work (a tool call, a prompt, a question); nil: it may.
    ///
    /// What only looks (lists, dashboards, health) is not counted: a role's hundred requests are a
    /// hundred pieces of work.
    func take(_ principal: Principal) -> Refusal? {
        guard let limit = principal.permission.requestsPerHour else { return nil }
        let standing = rates.take(principal.id, limit: limit)
        return standing.isExceeded ? .tooManyRequests(standing) : nil
    }

    /// Where one stands, for `RateLimit-*`; nil without a limit.
    func standing(_ principal: Principal) -> RateStanding? {
        principal.permission.requestsPerHour.map { rates.standing(principal.id, limit: $0) }
    }

    /// Whether today's money is spent.
    func costRefusal(_ principal: Principal) -> Refusal? {
        guard let limit = principal.permission.costPerDay, let user = principal.userID else {
            return nil
        }
        let used = costs.today(user)
        return used < limit ? nil : .costExceeded(used: used, limit: limit)
    }

    /// What the chat shows and enforces.
    struct Usage: Equatable {
        /// In the last hour; nil limit: none.
        var requests: Int
        var requestsLimit: Int?
        /// Dollars since midnight UTC.
        var costUsed: Double
        var costLimit: Double?

        var costRemaining: Double? { costLimit.map { max(0, $0 - costUsed) } }
        var isExceeded: Bool { costLimit.map { costUsed >= $0 } ?? false }
    }

    func usage(of principal: Principal) -> Usage {
        Usage(
            requests: rates.count(principal.id),
            requestsLimit: principal.permission.requestsPerHour,
            costUsed: principal.userID.map(costs.today) ?? 0,
            costLimit: principal.permission.costPerDay)
    }

    /// Counts money that was spent just now. Whoever spends also writes the row of `audit_logs`
    /// from which the sum is read again.
    func charge(_ dollars: Double, to user: Int) { costs.add(dollars, user) }
}
