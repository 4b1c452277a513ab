import OmniCore
import OmniIO

/// Memory is short on this host, or in our control group: gives back what can be made anew. Cached
/// results go, the least used first, a quarter of them each time; so does free heap.
final class MemoryRelief {
    /// Shortage lasts; once in this time is enough for what it achieves.
    private static let pause = Duration.seconds(10)
    /// Of the cache, each time.
    private static let kept = 0.75

    private let io: any IO
    private let cache: Cache
    private let log: Log

    init(io: any IO, cache: Cache, log: Log) {
        self.io = io
        self.cache = cache
        self.log = log
    }

    func start() {
        guard let pressure = MemoryPressure.open() else {
            log.info(
                "the kernel's pressure files cannot be watched, memory is not given back early")
            return
        }
        log.debug("watching memory pressure", fields: ["file": pressure.path])
        io.spawn { await self.watch(pressure) }
    }

    private func watch(_ pressure: MemoryPressure) async {
        while true {
            do throws(SystemError) {
                try await pressure.next(io, until: .distantFuture)
            } catch {
                return log.info(
                    "memory pressure is not watched any more",
                    fields: ["file": pressure.path, "error": error])
            }
            let freed = await cache.trim(to: Self.kept, because: "memory is short")
            Process.trimHeap()
            log.warning(
                "memory is short, gave back what can be made anew", id: .memoryPressure,
                fields: ["file": pressure.path, "cache_bytes_freed": freed])
            await io.sleep(until: io.now + Self.pause)
        }
    }
}
