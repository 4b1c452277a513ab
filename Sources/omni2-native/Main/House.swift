import OmniCore
import OmniIO

/// The services and how they are wired: the one place that knows all of them.
final class House {
    let door: Door
    private let io: any IO
    private let journal: Journal
    private let log: Log
    private let manager: ServiceManager
    private let configuration: Configuration
    private let api: API
    private let readiness = Readiness()
    var signalDescriptor: Int32 = -1

    init(
        _ configuration: Configuration, _ environment: Environment, limits: Limits, io: any IO
    ) throws(StartError) {
        self.io = io
        self.configuration = configuration
        journal = Journal.standard(level: configuration.log.level, environment: environment)
        log = Log(journal, service: .main)
        do throws(SystemError) {
            manager = try ServiceManager(environment)
        } catch {
            throw .system(error)
        }
        let token: AdminToken.Loaded
        do throws(AdminToken.LoadError) {
            token = try AdminToken.load(configuration.access.adminTokenFile)
        } catch {
            throw .adminToken(error)
        }
        let access = Access(
            adminTokenHash: token.hash, ownUser: Process.user,
            log: Log(journal, service: .access))
        door = Door(
            io: io, limits: Door.Limits(connectionsMax: limits.connectionsMax),
            log: Log(journal, service: .api))
        api = API(access: access, readiness: readiness, log: Log(journal, service: .api))
        wireDoor(limits)
        try listen(environment)
    }

    /// From the first service to the last byte of the stop.
    func live() async {
        log.info("omni2-native started", fields: ["version": Main.version])
    }

    private func wireDoor(_ limits: Limits) {}
    private func listen(_ environment: Environment) throws(StartError) {}
}
