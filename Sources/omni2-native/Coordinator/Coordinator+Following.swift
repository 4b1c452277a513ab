import OmniCore
import OmniIO

// Several hosts, one that checks. The others take its results from the rows: each keeps its own
// sessions, and acts on what it sees in calls, but only the checking host writes health.
extension Coordinator {
    /// The rows changed: adopt what the checking host found.
    func healthChanged() {
        guard !mayCheck(), !isAdopting else { return }
        isAdopting = true
        io.spawn {
            defer { self.isAdopting = false }
            do throws(StoreError) {
                self.adopt(try await self.store.servers())
            } catch {
                self.log.debug("health of the rows not read", fields: ["error": "\(error)"])
            }
        }
    }

    private func adopt(_ rows: [ServerRecord]) {
        guard !mayCheck(), !isStopping else { return }
        for row in rows {
            guard let server = registry.server(id: row.id), server.isCurrent,
                let status = HealthStatus(reading: row.health.status)
            else { continue }
            switch (status, server.phase) {
            case (.healthy, .down): recoverSoon(server)
            case (.disconnected, .up), (.circuitOpen, .up):
                // What the row says is of the moment it was written: see for ourselves.
                io.spawn { await self.check(server) }
            case (_, .up):
                server.record.health.lastCheck = row.health.lastCheck
            default: break
            }
        }
    }
}
