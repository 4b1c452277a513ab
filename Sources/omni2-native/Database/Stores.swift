import OmniIO

// The two stores, ready to be started.

extension SQLStore {
    /// The embedded database: a fresh install needs no server.
    static func sqlite(
        _ io: any IO, path: String, _ settings: Settings = Settings()
    ) -> SQLStore {
        SQLStore(io, SQLiteEngine(io, path: path), settings)
    }

    /// `url`: `postgresql://user:password@host:port/database?sslmode=verify-full`, or any text libpq
    /// reads.
    static func postgresql(
        _ io: any IO, url: String, _ settings: Settings = Settings(),
        _ engine: PostgresEngine.Settings = PostgresEngine.Settings()
    ) -> SQLStore {
        SQLStore(io, PostgresEngine(io, url: url, engine), settings)
    }
}
