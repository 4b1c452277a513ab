import OmniCore

/// What is answered to one request.
struct HTTPResponse {
    struct Header {
        let name: StaticString
        let value: String
    }

    var status: HTTPStatus
    var contentType: StaticString?
    var headers: [Header] = []
    var body: [UInt8] = []

    init(_ status: HTTPStatus, headers: [Header] = []) {
        self.status = status
        self.headers = headers
    }

    init(_ status: HTTPStatus = .ok, json: [UInt8], headers: [Header] = []) {
        self.init(status, headers: headers)
        contentType = "application/json"
        body = json
    }

    init(_ status: HTTPStatus = .ok, json: JSONValue, headers: [Header] = []) {
        self.init(status, json: json.bytes, headers: headers)
    }

    init(_ status: HTTPStatus, text: String, headers: [Header] = []) {
        self.init(status, headers: headers)
        contentType = "text/plain; charset=utf-8"
        body = Array(text.utf8)
    }

    /// The error shape of every route: what was wrong, in a word and in a sentence.
    static func failure(
        _ status: HTTPStatus, _ message: String, path: String? = nil, headers: [Header] = []
    ) -> HTTPResponse {
        var value: JSONValue = [
            "success": false, "error": .string(status.phrase.description),
            "message": .string(message),
        ]
        if let path { value["path"] = .string(path) }
        return HTTPResponse(status, json: value, headers: headers)
    }
}
