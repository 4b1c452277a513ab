import OmniIO

extension SQLStore: AccessStore {
    func roles() async throws(StoreError) -> [RoleRecord] {
        try await rows(access.roles + " ORDER BY id").map(access.role)
    }

    func role(named name: String) async throws(StoreError) -> RoleRecord? {
        try await rows(access.roleNamed, [SQLValue(name)]).first.map(access.role)
    }

    func users() async throws(StoreError) -> [UserRecord] {
        try await rows(access.users + " ORDER BY u.id").map(access.user)
    }

    func user(id: Int) async throws(StoreError) -> UserRecord? {
        try await rows(access.userByID, [SQLValue(id)]).first.map(access.user)
    }

    func insert(user: NewUser) async throws(StoreError) -> UserRecord {
        let values = [
            SQLValue(user.username), SQLValue(user.name), SQLValue(user.email),
            SQLValue(user.role),
        ]
        let inserted = try await rows(access.insertUser, values).first
        guard let id = inserted?.int("id"), let record = try await self.user(id: id) else {
            throw .notFound
        }
        announceAccess()
        return record
    }

    func insert(token: NewToken) async throws(StoreError) -> TokenRecord {
        let values = [
            SQLValue(token.userID), SQLValue(token.hash), SQLValue(token.name),
            SQLValue(token.expiresAt),
        ]
        guard let row = try await rows(access.insertToken, values).first else {
            throw .failed("the insert returned no row")
        }
        announceAccess()
        return access.token(row)
    }

    func tokens(ofUser id: Int?) async throws(StoreError) -> [TokenRecord] {
        guard let id else { return try await rows(access.tokens).map(access.token) }
        return try await rows(access.tokensOfUser, [SQLValue(id)]).map(access.token)
    }

    func token(hash: String) async throws(StoreError) -> TokenRecord? {
        try await rows(access.tokenByHash, [SQLValue(hash)]).first.map(access.token)
    }

    func deleteToken(id: Int) async throws(StoreError) {
        try await change(access.deleteToken, [SQLValue(id)])
    }

    func touchToken(id: Int, at time: Int64) async throws(StoreError) {
        try await run(SQLCommand(access.touchToken, [SQLValue(id), SQLValue(time)]))
    }

    func blocks() async throws(StoreError) -> [UserBlock] {
        try await rows(access.blocks + " ORDER BY user_id").map(access.block)
    }

    func block(ofUser id: Int) async throws(StoreError) -> UserBlock? {
        try await rows(access.blockOfUser, [SQLValue(id)]).first.map(access.block)
    }

    func write(block: UserBlock) async throws(StoreError) {
        try await change(access.writeBlock, access.values(block))
    }

    func deleteBlock(ofUser id: Int) async throws(StoreError) {
        try await change(access.deleteBlock, [SQLValue(id)])
    }
}
