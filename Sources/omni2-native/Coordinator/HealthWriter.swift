import OmniCore
import OmniIO

/// Brings what the coordinator finds into the store, behind its back and in batches.
///
/// While the store is away it keeps the newest health and tools of each server (bounded by the
/// number of servers), the servers that were disabled, and the newest entries of the health log
/// (bounded, dropped ones counted), and writes all of it when the store is back.
final class HealthWriter {
    private(set) var droppedEntries: UInt64 = 0
    var settings: CoordinatorSettings

    private let io: any IO
    private let store: any Store
    private let log: Log
    private let alarm: Alarm
    private var disabling: Set<Int> = []
    private var healths: [Int: ServerHealth] = [:]
    private var tools: [Int: [ToolRecord]] = [:]
    private var entries = RecentEntries()
    private var unreportedDrops: UInt64 = 0
    private var writing: Promise<Bool>?
    private var blockedUntil: MonotonicTime?
    private var isStopped = false
    /// False on a host that leaves the health of servers to another one.
    var mayWrite: () -> Bool = { true }

    private static let batchEntriesMax = 256

    init(io: any IO, store: any Store, log: Log, settings: CoordinatorSettings) {
        self.io = io
        self.store = store
        self.log = log
        self.settings = settings
        alarm = Alarm(io)
    }

    // MARK: What is to be written

    var hasPending: Bool {
        !disabling.isEmpty || !healths.isEmpty || !tools.isEmpty || !entries.isEmpty
    }

    func note(_ health: ServerHealth, of server: Int) {
        guard mayWrite() else { return }
        healths[server] = health
        alarm.ring()
    }

    func note(_ records: [ToolRecord], of server: Int) {
        guard mayWrite() else { return }
        tools[server] = records
        alarm.ring()
    }

    func append(_ entry: HealthLogEntry) {
        guard mayWrite() else { return }
        let dropped = entries.append(entry, countMax: settings.logEntriesMax)
        droppedEntries += dropped
        unreportedDrops += dropped
        alarm.ring()
    }

    /// The row's status becomes inactive as soon as the store takes it.
    func disable(_ server: Int) {
        disabling.insert(server)
        alarm.ring()
    }

    /// The row still says active, and we know better.
    func isDisabling(_ server: Int) -> Bool { disabling.contains(server) }

    /// The row is gone: nothing about it can be written.
    func forget(_ server: Int) {
        disabling.remove(server)
        healths[server] = nil
        tools[server] = nil
        entries.removeAll(of: server)
    }

    // MARK: Writing

    func start() { io.spawn { await self.run() } }

    func storeIsReady() {
        blockedUntil = nil
        alarm.ring()
    }

    /// Ends the loop after one more attempt to write everything.
    func stop(until deadline: MonotonicTime) async {
        isStopped = true
        alarm.ring()
        let last = Promise<Bool>(io)
        io.spawn { last.fulfil(await self.flush()) }
        if await last.value(until: deadline) != true {
            log.warning(
                "the store is away, what was found last is not written",
                fields: ["servers": healths.count, "entries": entries.count])
        }
    }

    private func run() async {
        while !isStopped {
            await alarm.wait(until: hasPending ? blockedUntil ?? io.now : .distantFuture)
            if isStopped { return }
            // What is noted while the store is away does not make it come back.
            if let blockedUntil, io.now < blockedUntil { continue }
            await io.sleep(until: io.now + settings.writeDelay)
            blockedUntil = await flush() ? nil : io.now + settings.storeRetry
        }
    }

    /// True when nothing is left. Joins a flush under way, which also writes what comes meanwhile.
    func flush() async -> Bool {
        if let writing { return await writing.value(until: .distantFuture) ?? false }
        guard hasPending else { return true }
        let promise = Promise<Bool>(io)
        writing = promise
        let isWritten = await writeAll()
        writing = nil
        promise.fulfil(isWritten)
        return isWritten
    }

    private func writeAll() async -> Bool {
        while hasPending {
            let isTaken =
                if let server = disabling.min() {
                    await writeStatus(of: server)
                } else if let (server, health) = healths.popFirst() {
                    await write(health, of: server)
                } else if let (server, records) = tools.popFirst() {
                    await write(records, of: server)
                } else {
                    await writeEntries()
                }
            if !isTaken { return false }
        }
        reportDrops()
        return true
    }

    private func writeStatus(of server: Int) async -> Bool {
        do throws(StoreError) {
            if var configuration = try await store.server(id: server)?.configuration {
                configuration.status = "inactive"
                _ = try await store.update(id: server, configuration)
            }
        } catch {
            if isAway(error, "its status", server) { return false }
        }
        disabling.remove(server)
        return true
    }

    private func write(_ health: ServerHealth, of server: Int) async -> Bool {
        do throws(StoreError) {
            try await store.write(health: health, ofServer: server)
        } catch {
            if isAway(error, "its health", server) {
                if healths[server] == nil { healths[server] = health }
                return false
            }
        }
        return true
    }

    private func write(_ records: [ToolRecord], of server: Int) async -> Bool {
        do throws(StoreError) {
            try await store.replaceTools(ofServer: server, with: records)
        } catch {
            if isAway(error, "its tools", server) {
                if tools[server] == nil { tools[server] = records }
                return false
            }
        }
        return true
    }

    private func writeEntries() async -> Bool {
        let batch = entries.take(Self.batchEntriesMax)
        do throws(StoreError) {
            try await store.append(batch)
            return true
        } catch {
            switch error {
            case .unavailable:
                let dropped = entries.putBack(batch, countMax: settings.logEntriesMax)
                droppedEntries += dropped
                unreportedDrops += dropped
                return false
            case .conflict, .notFound, .failed:
                return await writeOneByOne(batch)
            }
        }
    }

    /// One entry of a server deleted meanwhile spoils a batch, not the entries of the others.
    private func writeOneByOne(_ batch: [HealthLogEntry]) async -> Bool {
        for (index, entry) in batch.enumerated() {
            do throws(StoreError) {
                try await store.append([entry])
            } catch {
                if isAway(error, "a log entry", entry.serverID) {
                    _ = entries.putBack(
                        Array(batch[index...]), countMax: settings.logEntriesMax)
                    return false
                }
            }
        }
        return true
    }

    /// False when the statement failed for good: then it is given up, and the journal says so.
    private func isAway(_ error: StoreError, _ what: String, _ server: Int) -> Bool {
        switch error {
        case .unavailable: return true
        case .notFound:
            log.debug(
                "server deleted meanwhile, \(what) not written", fields: ["server_id": server])
        case .conflict(let text), .failed(let text):
            log.error("\(what) not written", fields: ["server_id": server, "error": text])
        }
        return false
    }

    private func reportDrops() {
        guard unreportedDrops > 0 else { return }
        log.warning(
            "health log has a gap: entries were dropped while the store was away",
            fields: ["dropped": unreportedDrops])
        unreportedDrops = 0
    }
}
