import OmniCore

/// A row of `users` with everything that follows from it. Made anew whenever the tables change.
final class Person {
    let user: UserRecord
    let permission: Permission
    let block: UserBlock?

    init(_ user: UserRecord, permission: Permission, block: UserBlock?) {
        self.user = user
        self.permission = permission
        self.block = block
    }

    var id: Int { user.id }
    /// What limits and personal results of the cache are kept by.
    var principalID: String { "user:\(user.id)" }

    func principal(
        _ credential: Principal.Credential, missingScopes: [String] = [], expiresAt: Int64 = .max
    ) -> Principal {
        Principal(
            id: principalID, name: user.username,
            role: user.role.map { Principal.Role(rawValue: $0) } ?? .none, userID: user.id,
            credential: credential, permission: permission, missingScopes: missingScopes,
            expiresAt: expiresAt)
    }

    /// The block that stands for one service, if any. A block without services stands for all.
    func block(from service: Permission.Service) -> UserBlock? {
        guard let block, block.isBlocked else { return nil }
        return block.services.isEmpty || block.services.contains(service.rawValue) ? block : nil
    }
}

/// `AccessTables` the way a request asks: by hash, by id, by name. Never changed, only replaced.
final class AccessSnapshot {
    /// A token, session or key, and whose it is.
    struct Entry {
        let id: Int
        let hash: SecretHash
        let person: Person
        /// Microseconds since 1970 UTC.
        let expiresAt: Int64

        func isValid(at time: Int64) -> Bool { expiresAt > time }
    }

    let tables: AccessTables
    private let people: [Int: Person]
    /// By user name and by e-mail, in lower case.
    private let names: [String: Person]
    private let roles: [String: Permission]
    private let tokensByHash: [SecretHash: Entry]
    private let sessionsByHash: [SecretHash: Entry]
    private let keysByHash: [SecretHash: Entry]
    private let tokensByID: [Int: Entry]
    private let sessionsByID: [Int: Entry]
    /// Restrictions that nobody understands, by whose they are.
    let unreadable: [String]

    init(_ tables: AccessTables) {
        self.tables = tables
        let builder = Builder(tables)
        people = builder.people
        roles = builder.roles
        unreadable = builder.unreadable
        // A user name counts before an e-mail: nobody takes another's place by an address.
        names = Dictionary(
            builder.people.values.map { ($0.user.username.lowercased(), $0) }
                + builder.people.values.compactMap { person in
                    person.user.email.map { ($0.lowercased(), person) }
                },
            uniquingKeysWith: { first, _ in first })
        let tokens = tables.tokens.compactMap { builder.entry($0) }
        let sessions = tables.sessions.compactMap { builder.entry($0) }
        tokensByHash = Self.byHash(tokens)
        sessionsByHash = Self.byHash(sessions)
        keysByHash = Self.byHash(tables.apiKeys.compactMap { builder.entry($0) })
        tokensByID = Dictionary(tokens.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        sessionsByID = Dictionary(
            sessions.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    private static func byHash(_ entries: [Entry]) -> [SecretHash: Entry] {
        Dictionary(entries.map { ($0.hash, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func person(_ id: Int) -> Person? { people[id] }
    func person(named name: String) -> Person? { names[name.lowercased()] }
    func permission(ofRole name: String) -> Permission? { roles[name] }
    func token(_ hash: SecretHash) -> Entry? { tokensByHash[hash] }
    func token(id: Int) -> Entry? { tokensByID[id] }
    func session(_ hash: SecretHash) -> Entry? { sessionsByHash[hash] }
    func session(id: Int) -> Entry? { sessionsByID[id] }
    func apiKey(_ hash: SecretHash) -> Entry? { keysByHash[hash] }
    var activePeople: Int { people.values.count { $0.user.isActive } }

    /// When the next token or session ends; never: the far future.
    func nextExpiry(after time: Int64) -> Int64 {
        let all = [tokensByID.values, sessionsByID.values].joined()
        return all.lazy.map(\.expiresAt).filter { $0 > time }.min() ?? .max
    }

    private struct Builder {
        var people: [Int: Person] = [:]
        var roles: [String: Permission] = [:]
        var unreadable: [String] = []

        init(_ tables: AccessTables) {
            let teams = Dictionary(
                tables.teams.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            let memberships = Dictionary(grouping: tables.members, by: \.userID)
            let overrides = Dictionary(
                tables.overrides.map { ($0.userID, $0) }, uniquingKeysWith: { first, _ in first })
            let blocks = Dictionary(
                tables.blocks.map { ($0.userID, $0) }, uniquingKeysWith: { first, _ in first })
            var rules: [String: AccessRules.Role] = [:]
            for role in tables.roles {
                rules[role.name] = role.rule
                let alone = AccessRules(role: role.rule)
                roles[role.name] = alone.permission
                if !alone.unreadable.isEmpty { unreadable.append("role \(role.name)") }
            }
            for user in tables.users {
                let override = overrides[user.id]?.rule
                let mine = (memberships[user.id] ?? []).compactMap { teams[$0.teamID]?.rule }
                let permission = user.role.flatMap { rules[$0] }.map { role in
                    AccessRules(
                        role: role, teams: mine, override: override,
                        rateOverride: user.rateLimitOverride
                    ).permission
                }
                people[user.id] = Person(
                    user, permission: permission ?? .nothing, block: blocks[user.id])
            }
        }

        func entry(_ row: HashedCredential) -> Entry? {
            guard let person = people[row.userID], let hash = SecretHash(hexadecimal: row.hash)
            else { return nil }
            return Entry(
                id: row.id, hash: hash, person: person, expiresAt: row.expiresAt ?? .max)
        }
    }
}

extension RoleRecord {
    var rule: AccessRules.Role {
        AccessRules.Role(
            name: name, servers: mcpAccess, restrictions: toolRestrictions,
            dashboard: dashboardAccess, requestsPerHour: rateLimit, costPerDay: costLimitDaily,
            sessionSeconds: tokenExpiry, services: services)
    }
}

extension TeamRecord {
    var rule: AccessRules.Team {
        AccessRules.Team(
            servers: mcpAccess, requestsPerHour: rateLimit, costPerDay: costLimit)
    }
}

extension OverrideRecord {
    var rule: AccessRules.Override {
        AccessRules.Override(
            servers: mcpRestrictions, restrictions: toolRestrictions, requestsPerHour: rateLimit,
            costPerDay: costLimit)
    }
}
