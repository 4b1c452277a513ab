import OmniCore

/// What a route takes and answers. The router checks requests against it before the handler runs,
/// and the OpenAPI document is written from it: there is no second list to keep in step.
struct RouteDescription {
    struct Parameter {
        let name: String
        let schema: JSONSchema
        let help: String
        var isRequired = false

        static func text(_ name: String, _ help: String) -> Parameter {
            Parameter(name: name, schema: .text(.printable, 0...1000), help: help)
        }

        static func number(_ name: String, _ range: ClosedRange<Int64>, _ help: String) -> Parameter
        {
            Parameter(name: name, schema: .integer(range), help: help)
        }

        static func flag(_ name: String, _ help: String) -> Parameter {
            Parameter(name: name, schema: .boolean, help: help)
        }

        /// Python writes True.
        static func flag(_ text: String) -> Bool? {
            switch text.lowercased() {
            case "true": true
            case "false": false
            default: nil
            }
        }

        /// Nil when the text of a query is no such value.
        func value(of text: String) -> JSONValue? {
            let value: JSONValue? =
                switch schema {
                case .integer: Int64(text).map { .int($0) }
                case .boolean: Self.flag(text).map { .bool($0) }
                default: .string(text)
                }
            guard let value, schema.allows(value) else { return nil }
            return value
        }
    }

    struct Answer {
        let status: HTTPStatus
        /// Nil: no body, or one that is no JSON.
        let schema: JSONSchema?
        var contentType = "application/json"
    }

    let summary: String
    var detail: String?
    var query: [Parameter] = []
    /// Of the values in the path, where they are more than a text.
    var path: [String: JSONSchema] = [:]
    var body: JSONSchema?
    /// An absent body is as good as an empty object.
    var isBodyOptional = false
    /// What errors look like; nil: as everywhere.
    var failure: JSONSchema?
    var answers: [Answer] = [Answer(status: .ok, schema: .map(.any))]

    init(_ summary: String) { self.summary = summary }

    /// What a value of the path may be.
    func schema(ofPathValue name: String) -> JSONSchema {
        if let schema = path[name] { return schema }
        if name == "id" { return .id }
        // Whoever came by the file token is user 0.
        return name.hasSuffix("_id") ? .integer(0...Int64(Int32.max)) : .text(.printable, 1...1000)
    }

    /// `router.on(.get, "/x", .viewer, "Lists the x".described.asking(.text("name", "…")))`
    func asking(_ parameters: Parameter...) -> Self {
        var copy = self
        copy.query += parameters
        return copy
    }

    func taking(_ schema: JSONSchema, optional: Bool = false) -> Self {
        var copy = self
        copy.body = schema
        copy.isBodyOptional = optional
        return copy
    }

    func answering(_ status: HTTPStatus = .ok, _ schema: JSONSchema?) -> Self {
        var copy = self
        if copy.answers.count == 1, copy.answers[0].schema == .map(.any) { copy.answers = [] }
        copy.answers.append(Answer(status: status, schema: schema))
        return copy
    }

    func answering(_ status: HTTPStatus = .ok, type: String) -> Self {
        var copy = self
        if copy.answers.count == 1, copy.answers[0].schema == .map(.any) { copy.answers = [] }
        copy.answers.append(Answer(status: status, schema: nil, contentType: type))
        return copy
    }

    func failing(_ schema: JSONSchema) -> Self {
        var copy = self
        copy.failure = schema
        return copy
    }

    func explained(_ text: String) -> Self {
        var copy = self
        copy.detail = text
        return copy
    }
}

extension String {
    /// The beginning of a route's description.
    var described: RouteDescription { RouteDescription(self) }
}
