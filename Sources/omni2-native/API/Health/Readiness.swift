import OmniCore

/// What health routes and systemd's STATUS are told: a few facts that services keep up to date.
final class Readiness {
    enum Database: Equatable {
        case starting
        case ready(engine: String)
        case unavailable(engine: String, reason: String)
    }

    var database = Database.starting
    /// The first load of the registry has ended, whatever came of it.
    var hasLoadedServers = false
    var isStopping = false

    /// Why requests should go elsewhere for now; nil when all is well.
    var obstacle: String? {
        if isStopping { return "stopping" }
        switch database {
        case .starting: return "the database is not connected yet"
        case .unavailable(_, let reason): return "the database is not available: \(reason)"
        case .ready: break
        }
        return hasLoadedServers ? nil : "the servers are being loaded"
    }
}
