import OmniCore

/// One member of `mcpServers` in the words of the registry. The daemon reads
/// `[MCP] ImportFile=` by the same rules and checks every value.
struct ImportedEntry {
    struct Problem: Error {
        let message: String
    }

    private(set) var body: JSONValue

    init(_ name: String, _ entry: JSONValue) throws(Problem) {
        guard entry.object != nil else { throw Problem(message: "must be an object") }
        guard entry["url"] != nil || entry["command"] != nil else {
            throw Problem(message: "needs url or command")
        }
        if let asked = Self.placeholder(in: entry) {
            throw Problem(
                message: "has \(asked), which only an editor can fill in; write the value")
        }
        body = ["name": .string(name)]
        for member in ["url", "command", "args", "env", "cwd", "description", "omni2", "meta_data"]
        {
            if let value = entry[member] { body[member] = value }
        }
        if let word = entry["type"]?.string ?? entry["transport"]?.string {
            body["protocol"] = .string(Self.transport(word))
        } else if entry["command"] == nil {
            body["protocol"] = "http-streamable"
        }
        if let seconds = entry["timeout"] ?? entry["timeout_seconds"] {
            body["timeout_seconds"] = seconds
        }
        if entry["disabled"]?.bool == true { body["status"] = "inactive" }
        try addCredential(entry)
    }

    /// `${input:…}` and its like: questions an editor asks its user.
    private static func placeholder(in value: JSONValue) -> String? {
        switch value {
        case .string(let text):
            guard let start = text.indices.first(where: { text[$0...].hasPrefix("${") }),
                let end = text[start...].firstIndex(of: "}")
            else { return nil }
            return String(text[start...end])
        case .array(let elements): return elements.lazy.compactMap { placeholder(in: $0) }.first
        case .object(let object):
            return object.members.lazy.compactMap { placeholder(in: $0.value) }.first
        default: return nil
        }
    }

    /// The words of the clients for the registry's.
    private static func transport(_ word: String) -> String {
        switch word {
        case "streamable-http", "streamableHttp", "http", "streamable_http": "http-streamable"
        default: word
        }
    }

    /// A lone `Authorization: Bearer` is a bearer credential; other headers are what they are.
    private mutating func addCredential(_ entry: JSONValue) throws(Problem) {
        if let type = entry["auth_type"] {
            body["auth_type"] = type
            if let options = entry["auth_config"] { body["auth_config"] = options }
            return
        }
        guard let headers = entry["headers"], !headers.isNull else { return }
        guard let object = headers.object else {
            throw Problem(message: "headers must be an object of texts")
        }
        if object.isEmpty { return }
        if object.count == 1, let member = object.members.first,
            member.name.lowercased() == "authorization",
            let text = member.value.string, text.lowercased().hasPrefix("bearer ")
        {
            body["auth_type"] = "bearer"
            body["auth_config"] = ["token": .string(String(text.dropFirst(7)))]
        } else {
            body["auth_type"] = "custom_headers"
            body["auth_config"] = ["headers": headers]
        }
    }
}
