import OmniCore
import OmniIO

/// `/api/v1/auth`: log in, log out, who am I, a new password.
struct AuthRoutes {
    let context: PeopleContext
    let logins: Logins
    private var access: Access { context.access }

    func add(to router: inout Router) {
        router.on(.post, "/api/v1/auth/login", .open, Self.entering) { logIn($0) }
        router.on(
            .post, "/api/v1/auth/logout", .authenticated,
            "Ends the session".described.answering(.ok, PeopleSchema.done)
        ) { logOut($0) }
        router.on(
            .get, "/api/v1/auth/me", .authenticated,
            "Says who one is and what one may do".described.answering(
                .ok, .reply(.required("user", .map(.any)), .required("permission", .map(.any))))
        ) { me($0) }
        router.on(
            .put, "/api/v1/auth/password", .authenticated,
            "Changes one's own password; other sessions end".described
                .taking(
                    .object(
                        .required("password", .text(.free, 1...200)),
                        .required("new_password", .text(.free, 12...200)))
                ).answering(.ok, PeopleSchema.done)
        ) { changePassword($0) }
    }

    private static let entering = "Opens a session with a password, a key or a token".described
        .explained(
            "The session is a cookie that scripts cannot read. Requests that change something carry "
                + "the csrf_token of this answer as X-CSRF-Token."
        )
        .taking(
            .either([
                .object(
                    .required("username", .text(.free, 1...255)),
                    .required("password", .text(.free, 1...200))),
                .object(.required("api_key", .text(.free, 1...200))),
                .object(.required("token", .text(.free, 1...1000))),
            ])
        ).answering(
            .ok,
            .reply(
                .required("user", .map(.any)),
                .required("csrf_token", .text(.visibleASCII, 1...100)),
                .required("expires_in", .count)))

    private func logIn(_ call: Router.Call) {
        let body = call.body
        context.io.spawn {
            do throws(Logins.Refusal) {
                let session =
                    if let key = body["api_key"]?.string {
                        try await logins.logIn(key: key, call.exchange)
                    } else if let token = body["token"]?.string {
                        try await logins.logIn(token: token, call.exchange)
                    } else {
                        try await logins.logIn(
                            name: body["username"]?.string ?? "",
                            password: body["password"]?.string ?? "", call.exchange)
                    }
                welcome(session, call)
            } catch {
                refuse(error, call)
            }
        }
    }

    private func welcome(_ session: Logins.Session, _ call: Router.Call) {
        call.respond(
            HTTPResponse(
                json: [
                    "success": true, "user": user(session.principal, session.person),
                    "permission": UserRoutes.json(session.principal.permission),
                    "csrf_token": .string(Logins.csrfToken(session.secret)),
                    "expires_in": JSONValue(session.seconds),
                ],
                headers: [
                    cookie(session.secret, seconds: session.seconds, call),
                    .init(name: "Cache-Control", value: "no-store"),
                ]))
    }

    private func refuse(_ refusal: Logins.Refusal, _ call: Router.Call) {
        switch refusal {
        case .wrong:
            call.fail(
                .unauthorized,
                call.body["token"] == nil ? "Wrong name or password." : "This token is not valid.")
        case .inactive: call.fail(.forbidden, "This account is not active.")
        case .slowedDown(let wait):
            let seconds = max(1, wait.components.seconds + 1)
            call.fail(
                .tooManyRequests, "Too many failures; try again in \(seconds) s.",
                headers: [.init(name: "Retry-After", value: "\(seconds)")])
        case .busy:
            call.fail(
                .serviceUnavailable, "Too many people log in at this moment.",
                headers: [.init(name: "Retry-After", value: "1")])
        case .store(let error): call.fail(error, context.log)
        }
    }

    private func cookie(
        _ value: String, seconds: Int, _ call: Router.Call
    ) -> HTTPResponse.Header {
        let isSecure = ResourceMetadata.origin(call.exchange, access.settings)
            .hasPrefix("https://")
        return .init(
            name: "Set-Cookie",
            value: "\(Logins.cookie)=\(value); Path=/; Max-Age=\(seconds); HttpOnly; "
                + "SameSite=Strict" + (isSecure ? "; Secure" : ""))
    }

    private func logOut(_ call: Router.Call) {
        context.run(call, "session") { () async throws(StoreError) in
            try await logins.logOut(call.principal, call.request)
            access.audit.done(call.exchange, by: call.principal, "logout", call.principal.name)
            call.respond(
                HTTPResponse(
                    json: ["success": true, "message": "The session has ended."],
                    headers: [cookie("", seconds: 0, call)]))
        }
    }

    private func user(_ principal: Principal, _ person: Person?) -> JSONValue {
        var user =
            person.map(UserRoutes.json) ?? ["id": .null, "username": .string(principal.name)]
        user["role"] = .string(principal.role.rawValue)
        return user
    }

    private func me(_ call: Router.Call) {
        let principal = call.principal
        var user = user(principal, principal.userID.flatMap { access.person($0) })
        user["credential"] = .string(principal.credential.word)
        var value: JSONValue = [
            "success": true, "user": user, "permission": UserRoutes.json(principal.permission),
            "usage": UserRoutes.json(access.usage(of: principal)),
        ]
        if principal.credential.word == "session", let secret = Logins.secret(call.request) {
            value["csrf_token"] = .string(Logins.csrfToken(secret))
        }
        call.respond(
            HTTPResponse(
                json: value, headers: [.init(name: "Cache-Control", value: "no-store")]))
    }

    private func changePassword(_ call: Router.Call) {
        guard let id = call.principal.userID, let person = access.person(id),
            let old = call.body["password"]?.string, let new = call.body["new_password"]?.string
        else { return call.fail(.forbidden, "This credential belongs to no user.") }
        context.io.spawn {
            do throws(Logins.Refusal) {
                let session = try await logins.logIn(
                    name: person.user.username, password: old, call.exchange)
                try await set(new, of: person, call)
                _ = session
            } catch {
                refuse(error, call)
            }
        }
    }

    private func set(
        _ password: String, of person: Person, _ call: Router.Call
    ) async throws(Logins.Refusal) {
        let hash = await context.io.offload { PasswordHash.make(password) }
        do throws(StoreError) {
            try await context.store.setPasswordHash(ofUser: person.id, to: hash)
            try await context.store.deleteSessions(ofUser: person.id)
            try await context.settle(call, "user.password", person.user.username)
            call.done("The password is changed; log in with it.")
        } catch {
            throw .store(error)
        }
    }
}
