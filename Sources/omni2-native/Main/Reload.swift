import OmniIO

/// SIGHUP: reads the configuration again, puts into force what can change while running, and says
/// what cannot. A file with mistakes changes nothing; systemd and the journal say why.
final class Reload {
    /// Sections whose services take new settings while they run. `apply` serves exactly these.
    private let liveSections: Set<String>
    private let apply: (Configuration) -> Void
    private let io: any IO
    private let environment: Environment
    private let manager: ServiceManager
    private let log: Log

    init(
        io: any IO, environment: Environment, manager: ServiceManager, log: Log,
        liveSections: Set<String>, apply: @escaping (Configuration) -> Void
    ) {
        self.io = io
        self.environment = environment
        self.manager = manager
        self.log = log
        self.liveSections = liveSections
        self.apply = apply
    }

    /// Returns what is in force from now on.
    func run(_ current: Configuration) async -> Configuration {
        guard let location = current.location else { return current }
        tell { () throws(SystemError) in try manager.reloading(status: "reloading") }
        let environment = environment
        let read: Result<Configuration, ConfigurationError> = await io.offload {
            do throws(ConfigurationError) {
                return .success(try Configuration.load(location, environment: environment))
            } catch {
                return .failure(error)
            }
        }
        do throws(ConfigurationError) {
            let (next, changes) = try current.reloaded(
                as: read.get(), liveSections: liveSections)
            apply(next)
            announce(changes)
            return next
        } catch {
            refuse(error)
            return current
        }
    }

    private func announce(_ changes: ConfigurationChanges) {
        for change in changes.live {
            log.notice(
                "\(change.name) is \(change.after) now, was \(change.before)",
                id: .configurationReloaded, fields: ["setting": change.name])
        }
        for change in changes.needsRestart {
            log.warning(
                "\(change.name) stays \(change.before) until a restart",
                id: .configurationNeedsRestart, fields: ["setting": change.name])
        }
        if changes.isEmpty { log.info("configuration read again, nothing changed") }
        let waiting = changes.needsRestart.map(\.name).joined(separator: ", ")
        let status = waiting.isEmpty ? "serving" : "serving; wait for a restart: \(waiting)"
        tell { () throws(SystemError) in try manager.ready(status: status) }
    }

    private func refuse(_ error: ConfigurationError) {
        for problem in error.problems {
            log.error(
                "\(problem), going on as before", id: .configurationInvalid,
                fields: ["place": problem.place])
        }
        let first = error.problems.first?.description ?? ""
        tell { () throws(SystemError) in
            try manager.ready(status: "serving; reload refused: \(first)")
        }
    }

    private func tell(_ notify: () throws(SystemError) -> Void) {
        do throws(SystemError) {
            try notify()
        } catch {
            log.warning("systemd could not be told, ignoring", fields: ["error": error])
        }
    }
}
