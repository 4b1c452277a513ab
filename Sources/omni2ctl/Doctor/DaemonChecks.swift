import OmniCore
import OmniIO

/// What the daemon says of itself, its neighbours and its servers.
struct DaemonChecks {
    private static let area = "Daemon"
    private static let skewMax: Int64 = 5
    private static let bytesLeftNeeded: UInt64 = 100 << 20
    private static let bytesLeftWanted: UInt64 = 1 << 30

    let client: Client

    init(_ client: Client) { self.client = client }

    func findings() async -> [Finding] {
        let health: Client.Answer
        do throws(Failure) {
            health = try await client.ask("GET", "/health")
        } catch {
            return [.fail(Self.area, "Reachable", error.message, "journalctl -u omni2-native -e")]
        }
        var findings = [reachable(health.json), ready(health), clock(health.json)]
        findings.append(database(health.json["database"] ?? .null))
        do throws(Failure) {
            let configuration = try await client.get("/api/v1/config")
            findings.append(space(configuration))
            findings.append(try await redis(configuration))
            findings.append(try await cache())
            findings += try await servers()
        } catch {
            findings.append(
                .fail(
                    Self.area, "Permission", error.message,
                    "use sudo, or the token of an administrator"))
        }
        return findings
    }

    private func reachable(_ health: JSONValue) -> Finding {
        let version = Words.plain(health["version"])
        let up = Words.time(seconds: health["uptime"]?.int ?? 0)
        guard version == Main.version else {
            return .warn(
                Self.area, "Reachable", "version \(version), but omni2ctl is \(Main.version)",
                "systemctl restart omni2-native, after an upgrade; or use the other's omni2ctl")
        }
        return .ok(Self.area, "Reachable", "version \(version), up \(up)")
    }

    private func ready(_ health: Client.Answer) -> Finding {
        health.isSuccess
            ? .ok(Self.area, "Ready", "it serves")
            : .fail(
                Self.area, "Ready", "it does not serve yet",
                "journalctl -u omni2-native -e; /health/ready names the obstacle")
    }

    private func clock(_ health: JSONValue) -> Finding {
        guard let theirs = health["timestamp"]?.string.flatMap(Words.seconds) else {
            return .skip(Self.area, "Clock", "the daemon does not say its time")
        }
        let skew = theirs - WallTime.now().secondsSince1970
        return abs(skew) <= Self.skewMax
            ? .ok(Self.area, "Clock", "as here")
            : .warn(
                Self.area, "Clock", "\(abs(skew)) s \(skew > 0 ? "ahead of" : "behind") ours",
                "keep both clocks right: tokens are judged by them")
    }

    private func database(_ database: JSONValue) -> Finding {
        let engine = Words.plain(database["engine"])
        switch database["status"]?.string {
        case "connected": return .ok(Self.area, "Database", engine)
        case "starting":
            return .warn(Self.area, "Database", "is being connected", "wait a moment")
        default:
            return .fail(
                Self.area, "Database", "\(engine) does not answer; the daemon serves from memory",
                "journalctl SERVICE=Database -e; check [Database] URL= and whether it runs")
        }
    }

    /// Of the daemon's state directory, where it is this host's.
    private func space(_ configuration: JSONValue) -> Finding {
        let name = "Disk space"
        guard case .socket = client.door.place,
            let path = configuration["directories"]?["state"]?.string
        else { return .skip(Self.area, name, "of another host") }
        guard let space = HostFacts.space(at: path) else {
            return .skip(Self.area, name, "\(path) is not ours to see; use sudo")
        }
        let left = Words.bytes(Int64(clamping: space.bytesLeft))
        let message = "\(left) left for \(path)"
        if space.bytesLeft >= Self.bytesLeftWanted { return .ok(Self.area, name, message) }
        let advice = "make room: the registry, flows and the audit log are kept there"
        return space.bytesLeft >= Self.bytesLeftNeeded
            ? .warn(Self.area, name, message, advice) : .fail(Self.area, name, message, advice)
    }

    private func redis(_ configuration: JSONValue) async throws(Failure) -> Finding {
        let setting = (configuration["settings"]?.array ?? []).first {
            $0["section"]?.string == "Redis" && $0["key"]?.string == "URL"
        }
        guard setting?["value"]?.string?.isEmpty == false else {
            return .skip(Self.area, "Redis", "not configured")
        }
        let report = try await client.get("/api/v1/cluster")
        return report["redis"]?.bool == true
            ? .ok(Self.area, "Redis", "connected")
            : .fail(
                Self.area, "Redis", "does not answer; this host is on its own",
                "journalctl SERVICE=Cluster -e; check [Redis] URL= and whether it runs")
    }

    private func cache() async throws(Failure) -> Finding {
        let figures = try await client.get("/api/v1/cache/stats")["data"] ?? [:]
        let (size, limit) = (figures["size"]?.int ?? 0, figures["max_size"]?.int ?? 0)
        let message =
            "\(size) of \(limit) results, \(Words.bytes(figures["bytes"]?.int ?? 0)) in shared memory"
        return limit > 0
            ? .ok(Self.area, "Cache", message)
            : .warn(Self.area, "Cache", "no room for results", "raise [Cache] MaxEntries=")
    }

    // MARK: Servers

    /// Each is asked now.
    private func servers() async throws(Failure) -> [Finding] {
        let servers = try await RegisteredServer.all(client).sorted { $0.name < $1.name }
        if servers.isEmpty {
            return [
                .warn(
                    "Servers", "Registered", "none",
                    "omni2ctl mcp add --help and omni2ctl mcp import --help say how")
            ]
        }
        var findings: [Finding] = []
        for (index, server) in servers.enumerated() {
            client.progress.doing("checking \(server.name) (\(index + 1) of \(servers.count))")
            findings.append(try await check(server))
        }
        return findings
    }

    private func check(_ server: RegisteredServer) async throws(Failure) -> Finding {
        guard server.isEnabled else {
            let reason = server.row["auto_disabled_reason"]?.string
            guard let reason else {
                return .skip("Servers", server.name, "disabled by an operator")
            }
            return .fail(
                "Servers", server.name, "disabled: \(reason)",
                "repair it, then omni2ctl mcp enable \(server.name)")
        }
        let answer = try await client.ask("POST", "\(server.path)/health-check")
        let health = answer.json["health_result"] ?? .null
        guard answer.isSuccess, health["healthy"]?.bool == true else {
            let reason = answer.isSuccess ? Words.plain(health["error"]) : answer.reason
            return .fail(
                "Servers", server.name,
                "\(reason); circuit \(Words.plain(health["circuit_state"]))",
                "omni2ctl mcp show \(server.name); journalctl MCP=\(server.name) -e")
        }
        let took = health["response_time_ms"]?.int.map { " in \($0) ms" } ?? ""
        let count = Words.count(Int(health["tool_count"]?.int ?? 0), "tool")
        return .ok("Servers", server.name, "answered\(took), \(count)")
    }
}
