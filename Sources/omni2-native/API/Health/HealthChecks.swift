import OmniCore
import OmniIO

/// One thing that was looked at: how it is, and what was seen.
struct HealthCheck {
    enum Status: String, Comparable {
        case pass, warn, fail

        static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

        private var rank: Int {
            switch self {
            case .pass: 0
            case .warn: 1
            case .fail: 2
            }
        }
    }

    let name: String
    let status: Status
    let observed: JSONValue
    var unit: String?
    /// What is wrong, without names and addresses: strangers may read it.
    var output: String?

    /// Between the two limits it warns, beyond both it fails.
    static func measured(
        _ name: String, _ value: Double, _ unit: String, warn: Double, fail: Double
    ) -> HealthCheck {
        let status: Status = value > fail ? .fail : value > warn ? .warn : .pass
        return HealthCheck(
            name: name, status: status, observed: .double((value * 1000).rounded() / 1000),
            unit: unit,
            output: status == .pass ? nil : "more than \(status == .fail ? fail : warn) \(unit)")
    }

    var json: JSONValue {
        var value: JSONValue = ["status": .string(status.rawValue), "observedValue": observed]
        if let unit { value["observedUnit"] = .string(unit) }
        if let output { value["output"] = .string(output) }
        return value
    }
}

/// What `/health` looks at, cheap enough for every second: nobody is asked, counters and two files of
/// the kernel are read.
struct HealthChecks {
    let readiness: Readiness
    /// Healthy servers, all servers.
    let servers: () -> (healthy: Int, all: Int)
    let loop: () -> RingIO.Statistics

    func all() -> [HealthCheck] { [database, upstreams, eventLoop, memory, descriptors] }

    private var database: HealthCheck {
        switch readiness.database {
        case .starting:
            HealthCheck(
                name: "database", status: .fail, observed: "starting",
                output: "not connected since the start")
        case .ready(let engine):
            HealthCheck(name: "database", status: .pass, observed: .string(engine))
        case .unavailable(let engine, _):
            HealthCheck(
                name: "database", status: .warn, observed: .string(engine),
                output: "away; served from memory")
        }
    }

    /// One that is down is its own trouble, all of them are ours.
    private var upstreams: HealthCheck {
        let count = servers()
        let isWell = count.healthy == count.all
        return HealthCheck(
            name: "servers", status: isWell ? .pass : .warn, observed: JSONValue(count.healthy),
            unit: "healthy of \(count.all)",
            output: isWell ? nil : "\(count.all - count.healthy) not healthy")
    }

    /// What everybody has to wait for while one turn of the loop works.
    private var eventLoop: HealthCheck {
        let lag = loop().lag.quantiles([0.99])[0]
        return .measured(
            "event_loop", lag.isNaN ? 0 : lag * 1000, "ms", warn: 100, fail: 1000)
    }

    private var memory: HealthCheck {
        guard let limit = MemoryLimit.tightest(), limit.max > 0 else {
            return HealthCheck(
                name: "memory", status: .pass,
                observed: JSONValue(ProcessUsage.now().residentBytes), unit: "bytes")
        }
        return .measured(
            "memory", Double(limit.used) / Double(limit.max) * 100, "percent", warn: 85, fail: 95)
    }

    private var descriptors: HealthCheck {
        let usage = ProcessUsage.now()
        return .measured(
            "descriptors", Double(usage.descriptors) / Double(max(1, usage.descriptorsMax)) * 100,
            "percent", warn: 85, fail: 95)
    }
}
