import OmniCore
import OmniIO

/// Where the two segments come from. Under systemd they outlive the process: their descriptors are
/// in its store, a successor finds them among its passed descriptors and continues in place, and
/// readers that are attached notice nothing.
struct CacheSegments {
    enum Name: String, CaseIterable {
        case shared = "cache-shared"
        case personal = "cache-personal"
    }

    struct Opened {
        let writer: CacheWriter
        /// A successor will be given it.
        let isStored: Bool
        /// It was continued and may hold a predecessor's entries.
        let isContinued: Bool
    }

    let manager: ServiceManager
    let activated: ActivatedSockets
    let log: Log

    /// Continues what was passed under this name, or begins anew.
    func open(
        _ name: Name, _ configuration: CacheConfiguration
    ) throws(SystemError) -> Opened {
        let passed = activated[name.rawValue]
        if let writer = continued(name, passed, configuration) {
            return Opened(writer: writer, isStored: true, isContinued: true)
        }
        let writer = try CacheWriter(configuration: configuration, at: BootClock.now())
        let isStored = store(writer, name, replacing: !passed.isEmpty)
        return Opened(writer: writer, isStored: isStored, isContinued: false)
    }

    private func continued(
        _ name: Name, _ passed: [ActivatedSockets.Passed], _ configuration: CacheConfiguration
    ) -> CacheWriter? {
        guard let only = passed.first else { return nil }
        guard passed.count == 1 else {
            for one in passed { _ = Descriptor(one.descriptor) }
            note(name, "\(passed.count) segments were passed")
            return nil
        }
        do throws(CacheRecoveryError) {
            let writer = try CacheWriter(
                recovering: only.descriptor, configuration: configuration, at: BootClock.now())
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
    private func store(_ writer: CacheWriter, _ name: Name, replacing: Bool) -> Bool {
        guard manager.isPresent else { return false }
        do throws(SystemError) {
            if replacing { try manager.removeStored(name: name.rawValue) }
            // Not polled: a memfd never hangs up.
            try manager.store([writer.segment.descriptor], name: name.rawValue, isPolled: false)
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
