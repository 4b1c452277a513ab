import OmniCore
import OmniIO

/// Work on many entries: in slices with a turn of the ring between them, however large the cache.
extension Cache {
    func sweep() async {
        for writer in [shared, personal] {
            while !isStopped, writer.sweep(at: BootClock.now()) { await turn() }
        }
    }

    /// Memory is short: gives up what was least recently used until `fraction` of the values' bytes
    /// is left, and returns the rest to the kernel. Returns how many bytes that was.
    @discardableResult
    func trim(to fraction: Double, because reason: String) async -> Int {
        var returned = 0
        for writer in [shared, personal] {
            let before = writer.statistics
            let target = Int(Double(before.bytesUsed) * min(max(0, fraction), 1))
            while !isStopped, writer.trim(toBytes: target, at: BootClock.now()) { await turn() }
            returned += max(0, before.bytesReserved - writer.statistics.bytesReserved)
        }
        log.info("cache trimmed", fields: ["bytes": returned, "reason": reason])
        publish(.cacheStatistics(statistics))
        return returned
    }

    /// Large caches get huge pages, made on the offload thread: each takes a millisecond.
    func mergePages() async {
        for writer in [shared, personal] {
            while !isStopped, let merge = writer.beginMerge() {
                writer.endMerge(succeeded: await io.offload { merge.run() })
            }
        }
    }

    /// Takes the entries of a segment with other bounds over. Until systemd keeps the new segment
    /// alone, a successor would be given both and go on here.
    func finish(_ succession: CacheSuccession, _ name: CacheSegments.Name) async {
        while !isStopped, succession.step(at: BootClock.now()) { await turn() }
        if isStopped { return }
        succeeded(name)
        log.info(
            "cache entries taken over",
            fields: ["segment": name.rawValue, "entries": succession.new.statistics.entries])
        await io.sleep(until: io.now + Self.readersGoneAfter)
        do throws(SystemError) {
            try succession.old.discard()
        } catch {
            log.warning(
                "memory of the old cache segment stays while readers map it",
                fields: ["error": error])
        }
    }

    /// Twice the time after which readers distrust a silent writer.
    private static let readersGoneAfter = Duration.seconds(30)

    private func turn() async { await io.sleep(until: io.now) }
}
