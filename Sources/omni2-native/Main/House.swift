import OmniCore
import OmniIO

/// The services and how they are wired: the one place that knows all of them.
final class House {
    let door: Door
    private let io: any IO
    private let configuration: Configuration
    private let journal: Journal
    private let log: Log
    private let manager: ServiceManager
    private let api: API
    private let readiness: Readiness
    private let listeners: [Listener]
    private let clock: WallClock
    /// Where signals arrive; set before `live`.
    var signalDescriptor: Int32 = -1
    /// The stop is complete: the loop may end.
    private(set) var hasEnded = false

    init(
        _ configuration: Configuration, _ environment: Environment, limits: Limits, io: any IO
    ) throws(StartError) {
        self.io = io
        self.configuration = configuration
        readiness = Readiness()
        clock = WallClock(io)
        journal = Journal.standard(level: configuration.log.level, environment: environment)
        log = Log(journal, service: .main)
        let activated: ActivatedSockets
        do throws(SystemError) {
            manager = try ServiceManager(environment)
            activated = try ActivatedSockets(environment)
        } catch {
            throw .system(error)
        }
        listeners = try Listeners.open(configuration, activated, backlog: limits.backlogMax)
        let access = try Self.makeAccess(configuration, journal)
        api = API(
            access: access, hosts: HostPolicy(names: configuration.http.allowedHosts),
            origins: OriginPolicy(origins: configuration.http.allowedOrigins),
            log: Log(journal, service: .api))
        door = Door(
            io: io, limits: Door.Limits(connectionsMax: limits.connectionsMax),
            log: Log(journal, service: .api))
        wireDoor(limits)
        addRoutes()
    }

    // MARK: Life

    /// From the first service to the last byte of the stop.
    func live() async {
        log.info("omni2-native \(Main.version) starts", fields: ["pid": Process.id])
        door.open()
        readiness.hasLoadedServers = true
        readiness.database = .ready(engine: "none")
        announceReady()
        await awaitStop()
        await stop()
        hasEnded = true
    }

    private func announceReady() {
        for address in door.addresses {
            log.info("listening", fields: ["address": address.description])
        }
        log.info("omni2-native ready", id: .daemonReady)
        tell { () throws(SystemError) in try manager.ready(status: "serving") }
    }

    /// Returns when a signal asks for the end.
    private func awaitStop() async {
        while true {
            do throws(SystemError) {
                _ = try await io.readiness(
                    of: signalDescriptor, .readable, until: .distantFuture)
            } catch {
                return log.critical("signals cannot be read, stopping", fields: ["error": error])
            }
            switch Process.nextSignal(signalDescriptor) {
            case .terminate, .interrupt: return
            case .hangUp: log.info("reload asked for")
            case nil: continue
            }
        }
    }

    private func stop() async {
        readiness.isStopping = true
        log.info("stopping", id: .daemonStopping)
        tell { () throws(SystemError) in try manager.stopping(status: "stopping") }
        door.closeListeners()
        let deadline = io.now + configuration.main.stopTimeout
        await door.drain(until: deadline)
        log.info("omni2-native stopped")
        journal.flush()
    }

    private func tell(_ notify: () throws(SystemError) -> Void) {
        do throws(SystemError) {
            try notify()
        } catch {
            log.warning("systemd could not be told, ignoring", fields: ["error": error])
        }
    }

    // MARK: Wiring

    private static func makeAccess(
        _ configuration: Configuration, _ journal: Journal
    ) throws(StartError) -> Access {
        let log = Log(journal, service: .access)
        let path = configuration.access.adminTokenFile
        let token: AdminToken.Loaded
        do throws(AdminToken.LoadError) {
            token = try AdminToken.load(path)
        } catch {
            throw .adminToken(error)
        }
        if let fresh = token.fresh {
            log.notice(
                "made an administrator token", id: .adminTokenCreated, fields: ["file": path])
            // Once, and only to a person: the journal never sees it.
            if Console.isTerminal { Console.error("administrator token: \(fresh)\n") }
        }
        return Access(adminTokenHash: token.hash, ownUser: Process.user, log: log)
    }

    private func wireDoor(_ limits: Limits) {
        var conversation = HTTPConversation.Limits()
        conversation.http = HTTPLimits(
            requestLineBytesMax: limits.targetBytesMax, headerBytesMax: limits.headerBytesMax,
            headerCountMax: limits.headerFieldsMax, bodyBytesMax: limits.bodyBytesMax)
        conversation.headTime = limits.headerTimeout
        conversation.bodyTime = limits.bodyTimeout
        conversation.idleTime = limits.idleTimeout
        conversation.sendTime = limits.sendTimeout
        let shared = HTTPConversation.Shared(
            limits: conversation, makeRequestID: RequestIDs().next, date: { [clock] in clock.date },
            handle: { [unowned api] in api.handle($0) })
        door.welcome = { _ in HTTPConversation(shared) }
        door.turnEnd = { [journal] in journal.flush() }
        for listener in listeners { door.listen(listener) }
    }

    private func addRoutes() {
        let health = HealthRoutes(
            readiness: readiness, now: { [clock] in clock.now }, startedAt: clock.now,
            servers: { (0, 0) })
        api.add { health.add(to: &$0) }
    }
}
