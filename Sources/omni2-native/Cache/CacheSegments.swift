import OmniCore
import OmniIO

/// Where the two segments come from. Under systemd they outlive the process: their descriptors are
/// in its store, a successor finds them among its passed descriptors and continues in place, and
/// readers that are attached notice nothing. Other bounds make a successor that takes the entries over.
struct CacheSegments {
    enum Name: String, CaseIterable {
        case shared = "cache-shared"
        case personal = "cache-personal"
    }

    struct Opened {
        let writer: CacheWriter
        /// A successor will be given it.
        let isStored: Bool
        /// It was continued, or follows one, and may hold a predecessor's entries.
        let isContinued: Bool
        /// Where the bounds changed: from what the entries are still to be taken.
        let succession: CacheSuccession?
    }

    let manager: ServiceManager
    let activated: ActivatedSockets
    let log: Log

    /// Continues what was passed under this name; follows it where the bounds are others now; or
    /// begins anew.
    func open(
        _ name: Name, _ configuration: CacheConfiguration
    ) throws(SystemError) -> Opened {
        let passed = activated[name.rawValue]
        var found = passed.compactMap { continued(name, $0.descriptor, configuration) }
        var current: CacheWriter?
        if let index = found.firstIndex(where: { $0.configuration.hasBounds(of: configuration) }) {
            current = found.remove(at: index)
        }
        let writer: CacheWriter
        if let current {
            writer = current
        } else {
            writer = try CacheWriter(configuration: configuration, at: BootClock.now())
        }
        // Two are passed only after a death in the middle of a succession. More are nobody's.
        let old = found.first
        for other in found.dropFirst() { other.retire() }
        let wanted = [old, writer].compactMap { $0 }
        let isStored =
            current != nil && passed.count == wanted.count
            || store(wanted, name, replacing: !passed.isEmpty)
        if let old {
            log.info(
                "cache segment has other bounds now, taking its entries over",
                fields: ["segment": name.rawValue, "entries": old.statistics.entries])
        }
        return Opened(
            writer: writer, isStored: isStored, isContinued: current != nil || old != nil,
            succession: old.map { CacheSuccession(of: $0, by: writer) })
    }

    /// The entries are where they belong: from now on only the new segment is kept.
    func succeeded(_ name: Name, by writer: CacheWriter) {
        _ = store([writer], name, replacing: true)
    }

    private func continued(
        _ name: Name, _ descriptor: Int32, _ configuration: CacheConfiguration
    ) -> CacheWriter? {
        do throws(CacheRecoveryError) {
            let writer = try CacheWriter(
                recovering: descriptor, configuration: configuration.bounded(as: descriptor),
                at: BootClock.now())
            log.info(
                "cache continued",
                fields: ["segment": name.rawValue, "entries": writer.statistics.entries])
            return writer
        } catch {
            note(name, "\(error)")
            return nil
        }
    }

    private func note(_ name: Name, _ reason: String) {
        log.warning(
            "cache segment cannot be continued, beginning anew", id: .cacheRebuilt,
            fields: ["segment": name.rawValue, "reason": reason])
    }

    /// False where no systemd keeps it.
    private func store(_ writers: [CacheWriter], _ name: Name, replacing: Bool) -> Bool {
        guard manager.isPresent else { return false }
        do throws(SystemError) {
            if replacing { try manager.removeStored(name: name.rawValue) }
            // Not polled: a memfd never hangs up.
            try manager.store(
                writers.map(\.segment.descriptor), name: name.rawValue, isPolled: false)
            return true
        } catch {
            log.warning(
                "systemd could not be given the cache, it will not outlive the process",
                fields: ["segment": name.rawValue, "error": error])
            return false
        }
    }

    /// What another version stored is nobody's now: systemd drops it, and so do we.
    func dropUnknown(besides known: [String]) {
        let names = activated.names(besides: Set(known + Name.allCases.map(\.rawValue)))
        for name in names {
            for passed in activated[name] where passed.kind == .other {
                _ = Descriptor(passed.descriptor)
            }
            do throws(SystemError) {
                try manager.removeStored(name: name)
                log.info("unknown stored descriptor dropped", fields: ["name": name])
            } catch {
                log.warning(
                    "systemd could not be told to drop a descriptor, ignoring",
                    fields: ["name": name, "error": error])
            }
        }
    }
}
