import OmniCore

/// What is answered to somebody who could not be let in (RFC 6750 §3): a challenge that says whether
/// a credential was missing or wrong, and nothing about what lies behind.
struct Challenges {
    let access: Access

    func answer(_ denial: Access.Denial, _ exchange: HTTPExchange) -> HTTPResponse {
        let path = exchange.request.path
        switch denial {
        case .missing:
            return .failure(
                .unauthorized, "Send Authorization: Bearer and a token.", path: path,
                headers: [challenge(exchange)])
        case .invalid(let reason):
            return .failure(
                .unauthorized, reason, path: path,
                headers: [challenge(exchange, ["error=\"invalid_token\""])])
        case .forbidden(let reason): return .failure(.forbidden, reason, path: path)
        case .notReady:
            return .failure(
                .serviceUnavailable, "The database is not there yet; nobody can be recognised.",
                path: path, headers: [.init(name: "Retry-After", value: "5")])
        case .keysNeeded:
            return .failure(
                .unauthorized, "The token is not valid.", path: path,
                headers: [challenge(exchange, ["error=\"invalid_token\""])])
        case .slowedDown(let wait):
            // Wrong it was in any case; whether it might have been right was not looked at.
            let seconds = max(1, wait.components.seconds + 1)
            return .failure(
                .unauthorized, "Too many wrong credentials; try again in \(seconds) s.",
                path: path,
                headers: [
                    challenge(exchange, ["error=\"invalid_token\""]),
                    .init(name: "Retry-After", value: "\(seconds)"),
                ])
        }
    }

    /// RFC 6750 §3.1: the token was made for less than this.
    func insufficientScope(_ scopes: [String], _ exchange: HTTPExchange) -> HTTPResponse.Header {
        challenge(exchange, ["error=\"insufficient_scope\""], scopes: scopes)
    }

    /// With the place where a client learns how to get a token (RFC 9728 §5.1), if there is one.
    private func challenge(
        _ exchange: HTTPExchange, _ more: [String] = [], scopes: [String]? = nil
    ) -> HTTPResponse.Header {
        var parameters = ["realm=\"omni2\""] + more
        if ResourceMetadata.isOffered(access) {
            let place = ResourceMetadata.location(exchange, access.settings)
            parameters.append("resource_metadata=\"\(place)\"")
            let wanted = scopes ?? access.settings.scopes
            if !wanted.isEmpty {
                parameters.append("scope=\"\(wanted.joined(separator: " "))\"")
            }
        }
        return .init(
            name: "WWW-Authenticate", value: "Bearer " + parameters.joined(separator: ", "))
    }
}
