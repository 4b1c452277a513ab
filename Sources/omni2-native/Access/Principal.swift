import OmniCore

/// Who makes a request, as far as a credential has shown, and what it may do.
///
/// A value of one moment: what lives longer than a request (an MCP session, a WebSocket) keeps it
/// and asks `Access.current` for its successor when access has changed.
struct Principal: Sendable {
    /// What limits and cached results are kept by; the same for every credential of one person.
    let id: String
    /// For records and replies.
    let name: String
    let role: Role
    /// The row of `users`; nil for the operator's own credentials and people without a row.
    let userID: Int?
    /// What was shown: sessions are bound to it.
    let credential: Credential
    let permission: Permission
    /// OAuth scopes that MCP needs and the token lacks.
    let missingScopes: [String]
    /// When the credential itself ends, in microseconds since 1970 UTC; for web tokens, of which no
    /// table knows.
    let expiresAt: Int64

    /// The name of a row of `roles`.
    struct Role: RawRepresentable, Hashable, Sendable {
        let rawValue: String
        static let superAdmin = Role(rawValue: AccessRules.superAdministrator)
        static let none = Role(rawValue: "none")
    }

    enum Credential: Hashable, Sendable {
        /// Nothing was shown.
        case none
        case administratorToken
        /// The peer's user id on a Unix socket.
        case unixUser(UInt32)
        /// A row of `mcp_access_tokens`.
        case token(Int)
        /// A JSON web token: renewed ones of the same subject are the same credential.
        case webToken(issuer: String, subject: String)
        /// Said by a proxy that is trusted.
        case proxy(user: String)
        /// A row of `user_sessions`: a person who has logged in.
        case session(Int)
        /// The operator, logged in with the administrator's token.
        case operatorSession(String)

        var word: String {
            switch self {
            case .none: "none"
            case .administratorToken: "admin-token"
            case .unixUser: "unix"
            case .token: "token"
            case .webToken: "jwt"
            case .proxy: "proxy"
            case .session, .operatorSession: "session"
            }
        }
    }

    init(
        id: String, name: String, role: Role, userID: Int? = nil, credential: Credential,
        permission: Permission, missingScopes: [String] = [], expiresAt: Int64 = .max
    ) {
        self.id = id
        self.name = name
        self.role = role
        self.userID = userID
        self.credential = credential
        self.permission = permission
        self.missingScopes = missingScopes
        self.expiresAt = expiresAt
    }

    /// The operator, or nobody.
    init(id: String, name: String, role: Role) {
        self.init(
            id: id, name: name, role: role, credential: .administratorToken,
            permission: role == .superAdmin ? .everything : .nothing)
    }

    /// The operator at this host's own socket.
    static func unixUser(_ user: UInt32) -> Principal {
        Principal(
            id: "uid:\(user)", name: "uid \(user)", role: .superAdmin,
            credential: .unixUser(user), permission: .everything)
    }

    /// Nobody in particular: what open routes see.
    static let anonymous = Principal(
        id: "", name: "anonymous", role: .none, credential: .none, permission: .nothing)

    var isAdministrator: Bool { permission.isAdministrator }
    var isOperator: Bool { permission.isOperator }
}

/// The same credential of the same person, whatever it may do by now.
extension Principal: Hashable {
    static func == (left: Self, right: Self) -> Bool {
        left.id == right.id && left.credential == right.credential
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(id)
        hasher.combine(credential)
    }
}
