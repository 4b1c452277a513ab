import OmniCore

/// A person, role or token as the daemon lists it.
enum People {
    static func users(_ client: Client) async throws(Failure) -> [JSONValue] {
        try await client.get("/api/v1/users")["users"]?.array ?? []
    }

    /// By user name, e-mail address or number, which is how the journal names users.
    static func user(_ name: String, _ client: Client) async throws(Failure) -> JSONValue {
        let users = try await users(client)
        if let user = users.first(where: { $0["username"]?.string == name }) { return user }
        if let user = users.first(where: { $0["email"]?.string == name }) { return user }
        if let id = Int64(name), let user = users.first(where: { $0["id"]?.int == id }) {
            return user
        }
        throw .failed("there is no user named \(name); see omni2ctl user list")
    }

    static func role(_ name: String, _ client: Client) async throws(Failure) -> JSONValue {
        let roles = try await client.get("/api/v1/roles")["roles"]?.array ?? []
        if let role = roles.first(where: { $0["name"]?.string == name }) { return role }
        let names = roles.compactMap { $0["name"]?.string }.joined(separator: ", ")
        throw .failed("there is no role named \(name); there are \(names)")
    }

    static func path(_ kind: String, _ row: JSONValue) -> String {
        "/api/v1/\(kind)/\(row["id"]?.int ?? 0)"
    }

    // MARK: Options

    static func list(_ text: String) -> JSONValue {
        JSONValue(text.split(separator: ",").map { String($0.drop { $0 == " " }) })
    }

    static func number(_ name: String, _ text: String) throws(Failure) -> JSONValue {
        guard let number = Int64(text), number >= 0 else {
            throw .usage("--\(name) is a whole number, not \(text)")
        }
        return .int(number)
    }

    static func amount(_ name: String, _ text: String) throws(Failure) -> JSONValue {
        guard let amount = Double(text), amount >= 0 else {
            throw .usage("--\(name) is an amount, not \(text)")
        }
        return .double(amount)
    }

    static func json(_ name: String, _ text: String) throws(Failure) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue(parsing: text)
        } catch {
            throw .usage("--\(name) is not JSON: \(error)")
        }
    }
}
