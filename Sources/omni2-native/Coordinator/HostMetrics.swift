import OmniCore
import OmniIO

/// Processor and memory of the host, from `/proc`. The processor's share is over the time since the
/// sample before; the first one has nothing to compare with and says 0.
final class HostMetrics {
    struct Sample: Sendable, Equatable {
        /// Percent with one decimal, as all members.
        var processor = 0.0
        var memory = 0.0
        var memoryUsedMiB = 0.0
        var memoryTotalMiB = 0.0

        var json: JSONValue {
            [
                "cpu_percent": .double(processor), "memory_percent": .double(memory),
                "memory_used_mb": .double(memoryUsedMiB),
                "memory_total_mb": .double(memoryTotalMiB),
            ]
        }
    }

    /// Clock ticks since boot, all processors together.
    struct Ticks: Sendable, Equatable {
        var busy: UInt64
        var total: UInt64
    }

    private static let fileBytesMax = 1 << 20
    private var before: Ticks?

    func sample(_ io: any IO) async -> Sample {
        let (stat, meminfo) = await io.offload {
            (Self.read("/proc/stat"), Self.read("/proc/meminfo"))
        }
        var sample = Self.memory(meminfo)
        if let ticks = Self.ticks(stat) {
            if let before { sample.processor = Self.percent(from: before, to: ticks) }
            before = ticks
        }
        return sample
    }

    /// Nothing where `/proc` is not readable: then the members say 0.
    private static func read(_ path: String) -> String {
        do throws(Files.ReadError) {
            return String(decoding: try Files.read(path, bytesMax: fileBytesMax), as: UTF8.self)
        } catch {
            return ""
        }
    }

    /// From the first line of `/proc/stat`: user nice system idle iowait irq softirq steal …
    static func ticks(_ stat: String) -> Ticks? {
        guard let line = stat.split(separator: "\n").first, line.hasPrefix("cpu ") else {
            return nil
        }
        // Guest time is within user time already.
        let columns = line.split(separator: " ").dropFirst().prefix(8).compactMap { UInt64($0) }
        guard columns.count >= 5 else { return nil }
        let total = columns.reduce(0, &+)
        return Ticks(busy: total &- columns[3] &- columns[4], total: total)
    }

    static func percent(from before: Ticks, to after: Ticks) -> Double {
        // A processor taken away may turn the sums back.
        guard after.total > before.total, after.busy >= before.busy else { return 0 }
        return rounded(Double(after.busy - before.busy) / Double(after.total - before.total) * 100)
    }

    static func memory(_ meminfo: String) -> Sample {
        var sample = Sample()
        guard let total = kibibytes("MemTotal:", meminfo), total > 0,
            let available = kibibytes("MemAvailable:", meminfo)
        else { return sample }
        let used = total - min(available, total)
        sample.memoryTotalMiB = rounded(Double(total) / 1024)
        sample.memoryUsedMiB = rounded(Double(used) / 1024)
        sample.memory = rounded(Double(used) / Double(total) * 100)
        return sample
    }

    private static func kibibytes(_ name: String, _ meminfo: String) -> UInt64? {
        let line = meminfo.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
    }

    private static func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}
