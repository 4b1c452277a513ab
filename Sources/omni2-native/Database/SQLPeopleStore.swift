import OmniCore
import OmniIO

// The part of `AccessStore` that changes who may do what. Every change is announced: by PostgreSQL's
// triggers to all daemons, by us where the database cannot.
extension SQLStore {
    var isReady: Bool { state == .ready }

    func accessTables() async throws(StoreError) -> AccessTables {
        let results = try await runAll(
            [
                access.roles + " ORDER BY id", access.users + " ORDER BY u.id", people.apiKeys,
                people.tokens, people.sessions, people.teams + " ORDER BY id", people.members,
                people.overrides, access.blocks + " ORDER BY user_id",
            ].map { SQLCommand($0) })
        return AccessTables(
            roles: results[0].rows.map(access.role), users: results[1].rows.map(access.user),
            apiKeys: results[2].rows.map(people.credential),
            tokens: results[3].rows.map(people.credential),
            sessions: results[4].rows.map(people.credential),
            teams: results[5].rows.map(people.team), members: results[6].rows.map(people.member),
            overrides: results[7].rows.map(people.override),
            blocks: results[8].rows.map(access.block))
    }

    // MARK: Roles

    func insert(role: RoleRecord) async throws(StoreError) -> Int {
        try await insert(people.insertRole, people.values(role))
    }

    func update(role: RoleRecord) async throws(StoreError) {
        try await change(people.updateRole, people.values(role) + [SQLValue(role.id)])
    }

    func deleteRole(id: Int) async throws(StoreError) {
        if try await rows(people.usersOfRole, [SQLValue(id)]).first?.int("people") ?? 0 > 0 {
            throw .conflict("somebody has this role")
        }
        try await change(people.deleteRole, [SQLValue(id)])
    }

    // MARK: Users

    func update(user: UserRecord) async throws(StoreError) {
        try await change(
            people.updateUser,
            [
                SQLValue(user.username), SQLValue(user.name), SQLValue(user.email),
                SQLValue(user.role), SQLValue(user.isActive), SQLValue(user.rateLimitOverride),
                SQLValue(user.id),
            ])
    }

    func deleteUser(id: Int) async throws(StoreError) {
        try await change(people.deleteUser, [SQLValue(id)])
    }

    func passwordHash(ofUser id: Int) async throws(StoreError) -> String? {
        guard let row = try await rows(people.passwordHash, [SQLValue(id)]).first else {
            throw .notFound
        }
        return row.text("password_hash")
    }

    func setPasswordHash(ofUser id: Int, to hash: String?) async throws(StoreError) {
        try await change(people.setPassword, [SQLValue(hash), SQLValue(id)])
    }

    func setAPIKeyHash(ofUser id: Int, to hash: String?) async throws(StoreError) {
        try await change(people.setAPIKey, [SQLValue(hash), SQLValue(id)])
    }

    func touchLogin(ofUser id: Int, at time: Int64) async throws(StoreError) {
        try await run(SQLCommand(people.touchLogin, [SQLValue(time), SQLValue(id)]))
    }

    // MARK: Teams and overrides

    func insert(team: TeamRecord) async throws(StoreError) -> Int {
        try await insert(people.insertTeam, people.values(team))
    }

    func update(team: TeamRecord) async throws(StoreError) {
        try await change(people.updateTeam, people.values(team) + [SQLValue(team.id)])
    }

    func deleteTeam(id: Int) async throws(StoreError) {
        try await change(people.deleteTeam, [SQLValue(id)])
    }

    func insert(member: TeamMember) async throws(StoreError) {
        let values = [SQLValue(member.teamID), SQLValue(member.userID)]
        try await run(SQLCommand(people.insertMember, values))
        announceAccess()
    }

    func delete(member: TeamMember) async throws(StoreError) {
        let values = [SQLValue(member.teamID), SQLValue(member.userID)]
        try await change(people.deleteMember, values)
    }

    func write(override: OverrideRecord) async throws(StoreError) {
        try await change(
            people.writeOverride,
            [
                SQLValue(override.userID), SQLValue(JSONValue(override.mcpRestrictions).text),
                SQLValue(override.toolRestrictions), SQLValue(override.rateLimit),
                SQLValue(override.costLimit),
            ])
    }

    func deleteOverride(ofUser id: Int) async throws(StoreError) {
        try await change(people.deleteOverride, [SQLValue(id)])
    }

    // MARK: Sessions

    func insert(session: NewSession) async throws(StoreError) -> Int {
        try await insert(
            people.insertSession,
            [
                SQLValue(session.userID), SQLValue(session.hash), SQLValue(session.expiresAt),
                SQLValue(session.address), SQLValue(session.userAgent),
            ])
    }

    func deleteSession(id: Int) async throws(StoreError) {
        try await run(SQLCommand(people.deleteSession, [SQLValue(id)]))
        announceAccess()
    }

    func deleteSessions(ofUser id: Int) async throws(StoreError) {
        try await run(SQLCommand(people.deleteSessionsOfUser, [SQLValue(id)]))
        announceAccess()
    }

    func pruneSessions(before time: Int64) async throws(StoreError) {
        try await run(SQLCommand(people.pruneSessions, [SQLValue(time)]))
    }

    // MARK: Audit and history

    func append(audit records: [AuditRecord]) async throws(StoreError) {
        if records.isEmpty { return }
        try await runAll(records.map(audits.command))
    }

    func audit(limit: Int) async throws(StoreError) -> [AuditRecord] {
        try await rows(audits.audit, [SQLValue(limit)]).map(audits.record)
    }

    func pruneAudit(before time: Int64, limit: Int) async throws(StoreError) -> Int {
        try await run(SQLCommand(audits.prune, [SQLValue(time), SQLValue(limit)])).affected
    }

    func costs(since time: Int64) async throws(StoreError) -> [Int: Double] {
        var result: [Int: Double] = [:]
        for row in try await rows(audits.costs, [SQLValue(time)]) {
            if let user = row.int("user_id") { result[user] = row.real("cost") ?? 0 }
        }
        return result
    }

    func queries(since time: Int64) async throws(StoreError) -> (count: Int, cost: Double) {
        let row = try await rows(audits.queries, [SQLValue(time)]).first
        return (row?.int("queries") ?? 0, row?.real("cost") ?? 0)
    }

    func activity(limit: Int) async throws(StoreError) -> [ActivityRecord] {
        try await rows(audits.activity, [SQLValue(limit)]).map(audits.activity)
    }

    // MARK: Running

    /// A change of one row, which must be there.
    func change(_ text: String, _ values: [SQLValue]) async throws(StoreError) {
        if try await run(SQLCommand(text, values)).affected == 0 { throw .notFound }
        announceAccess()
    }

    private func insert(_ text: String, _ values: [SQLValue]) async throws(StoreError) -> Int {
        guard let id = try await rows(text, values).first?.int("id") else {
            throw .failed("the insert returned no row")
        }
        announceAccess()
        return id
    }

    func announceAccess() {
        if !database.announcesChanges { database.accessChanged() }
    }
}
