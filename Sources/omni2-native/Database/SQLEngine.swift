import OmniCore
import OmniIO

/// A database that runs statements: what `SQLStore` stands on.
protocol SQLEngine: AnyObject {
    var dialect: SQLDialect { get }
    var state: StoreState { get }
    var stateChanged: (StoreState) -> Void { get set }
    /// Called when the registry changed. An engine that does not announce changes never calls it:
    /// the store does after its own writes.
    var registryChanged: () -> Void { get set }
    /// The same for what decides access.
    var accessChanged: () -> Void { get set }
    var announcesChanges: Bool { get }
    /// Called when another host wrote what its health checks found.
    var healthChanged: () -> Void { get set }
    /// Of several hosts with one database one leads: it holds a lock that ends with its connection.
    var isLeader: Bool { get }
    var leadershipChanged: (Bool) -> Void { get set }

    func start()
    func stop() async
    /// All of the commands or none; one result for each. Fails at once while not ready.
    func run(_ commands: [SQLCommand]) async throws(SQLError) -> [SQLResult]
}
