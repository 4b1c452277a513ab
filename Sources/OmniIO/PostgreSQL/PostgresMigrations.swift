public import OmniCore

extension PostgresConnection {
    /// Any number will do, as long as every version of the daemon takes the same.
    private static let migrationLock = 0x6f6d_6e69_32

    /// Applies what is missing, in order, all in one transaction under an advisory lock: daemons that
    /// start at the same time wait for each other. After an error the connection is closed, which
    /// rolls everything back.
    public func migrate(_ migrations: [SQLMigration], until: MonotonicTime) async throws(SQLError) {
        do throws(SQLError) {
            if try await missing(migrations, until).isEmpty { return }
            try await script(
                """
                BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
                SELECT pg_advisory_xact_lock(\(Self.migrationLock));
                CREATE SCHEMA IF NOT EXISTS omni2;
                CREATE TABLE IF NOT EXISTS omni2.schema_migrations (
                    version integer PRIMARY KEY, name text NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now());
                """, until: until)
            // Another daemon may have done it while this one waited for the lock.
            for migration in try await missing(migrations, until) {
                try await script(migration.text, until: until)
                _ = try await run(
                    [
                        SQLCommand(
                            "INSERT INTO omni2.schema_migrations (version, name) VALUES ($1, $2)",
                            [SQLValue(migration.version), SQLValue(migration.name)])
                    ], until: until)
            }
            try await script("COMMIT", until: until)
        } catch {
            close()
            throw error
        }
    }

    /// A role that may not create schemas is fine as long as there is nothing to do.
    private func missing(
        _ migrations: [SQLMigration], _ until: MonotonicTime
    ) async throws(SQLError) -> [SQLMigration] {
        let known = try await run(
            [SQLCommand("SELECT to_regclass('omni2.schema_migrations') IS NOT NULL AS known")],
            until: until)
        guard known[0].rows.first?.flag("known") == true else { return migrations }
        let applied = try await run(
            [SQLCommand("SELECT version FROM omni2.schema_migrations")], until: until)
        let versions = Set(applied[0].rows.compactMap { $0.int("version") })
        return migrations.filter { !versions.contains($0.version) }
    }
}
