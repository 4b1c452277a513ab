extension SQLiteConnection {
    /// Applies what is missing, in order, all in one transaction: two processes that start at the
    /// same time wait for each other.
    func migrate(_ migrations: [SQLMigration]) throws(SQLError) {
        try transaction { () throws(SQLError) in
            try script(
                """
                CREATE TABLE IF NOT EXISTS schema_migrations (
                    version INTEGER PRIMARY KEY, name TEXT NOT NULL,
                    applied_at INTEGER NOT NULL DEFAULT (unixepoch() * 1000000))
                """)
            let applied = try perform(SQLCommand("SELECT version FROM schema_migrations"))
            let versions = Set(applied.rows.compactMap { $0.int("version") })
            for migration in migrations where !versions.contains(migration.version) {
                try script(migration.text)
                _ = try perform(
                    SQLCommand(
                        "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)",
                        [SQLValue(migration.version), SQLValue(migration.name)]))
            }
        }
    }
}
