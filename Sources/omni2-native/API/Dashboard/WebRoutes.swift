import OmniCore
import OmniIO

/// `/` and `/web`: the dashboard. Anybody may have its files, which say nothing; what they show is asked
/// for with a credential.
final class WebRoutes {
    /// Replaced as a whole at a reload.
    var files: WebFiles
    /// What `/` says to who does not ask for a page.
    private let facts: JSONValue

    init(_ files: WebFiles) {
        self.files = files
        facts = [
            "name": "omni2-native", "version": .string(Main.version),
            "description": "MCP gateway", "docs": "/docs", "health": "/health",
            "status": "running",
        ]
    }

    func add(to router: inout Router) {
        router.on(.get, "/", .open, Self.front) { [self] in front($0) }
        let file = "Gives a file of the dashboard".described.answering(.ok, type: "*/*")
            .answering(.notModified, nil)
        router.on(.get, "/web/{file}", .open, file) { [self] in give($0["file"], $0) }
        router.on(.get, "/web/{folder}/{file}", .open, file) { [self] call in
            give("\(call["folder"])/\(call["file"])", call)
        }
    }

    private static let front = "Says what this is; to a browser, the dashboard".described
        .explained("A client that accepts text/html gets the dashboard's page.")
        .answering(
            .ok,
            .object(
                [.required("name", .shortText), .required("version", .shortText)], isOpen: true))

    private func front(_ call: Router.Call) {
        guard call.request.headerLists("text/html", in: "Accept"), let page = files["index.html"]
        else {
            return call.respond(
                HTTPResponse(json: facts, headers: [.init(name: "Vary", value: "Accept")]))
        }
        send(page, call, vary: "Accept, Accept-Encoding")
    }

    private func give(_ path: String, _ call: Router.Call) {
        guard let file = files[path] else {
            return call.fail(.notFound, "The dashboard has no such file.")
        }
        send(file, call, vary: "Accept-Encoding")
    }

    /// Each use asks whether the copy is still good: after an upgrade no page is put together of old
    /// and new parts.
    private func send(_ file: WebFiles.File, _ call: Router.Call, vary: String) {
        let content = file.content(
            takesGzip: call.request.headerLists("gzip", in: "Accept-Encoding"))
        var headers = Self.headers
        headers.append(.init(name: "ETag", value: content.tag))
        headers.append(.init(name: "Vary", value: vary))
        if let tags = call.request.header("If-None-Match"), file.isNamed(by: tags) {
            return call.respond(HTTPResponse(.notModified, headers: headers))
        }
        if content.tag != file.plain.tag {
            headers.append(.init(name: "Content-Encoding", value: "gzip"))
        }
        var response = HTTPResponse(.ok, headers: headers)
        response.contentType = file.contentType
        response.body = content.bytes
        call.respond(response)
    }

    /// Nothing inline, nothing from elsewhere, in nobody's frame.
    private static let headers: [HTTPResponse.Header] = [
        .init(name: "Cache-Control", value: "no-cache"),
        .init(
            name: "Content-Security-Policy",
            value: "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                + "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
                + "frame-ancestors 'none'"),
        .init(name: "X-Content-Type-Options", value: "nosniff"),
        .init(name: "Referrer-Policy", value: "no-referrer"),
        .init(name: "Cross-Origin-Opener-Policy", value: "same-origin"),
        .init(
            name: "Permissions-Policy", value: "camera=(), geolocation=(), microphone=()"),
    ]
}
