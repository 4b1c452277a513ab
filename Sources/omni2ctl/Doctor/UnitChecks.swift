import OmniCore
import OmniIO

/// The units of the package: there, enabled, active.
struct UnitChecks {
    private static let area = "systemd"
    private static let sockets = [
        "omni2-native.socket", "omni2-native-admin.socket", "omni2-native-cache.socket",
    ]
    private static let service = "omni2-native.service"

    let environment: Environment

    init(_ environment: Environment) { self.environment = environment }

    var findings: [Finding] {
        guard Files.isDirectory("/run/systemd/system") else {
            return [.skip(Self.area, "Units", "this host does not run systemd")]
        }
        let service = UnitFacts(Self.service, environment)
        guard service["LoadState"] != "not-found" else {
            return [
                .warn(
                    Self.area, "Units", "the package's units are not installed",
                    "install the package omni2-native, or make install; a daemon that is started by "
                        + "hand needs neither")
            ]
        }
        return [self.service(service)] + Self.sockets.map(socket) + failed
    }

    private func service(_ unit: UnitFacts) -> Finding {
        let state = unit["ActiveState"] ?? "unknown"
        let since = unit["StateChangeTimestamp"].map { ", since \($0)" } ?? ""
        switch state {
        case "active": return .ok(Self.area, Self.service, "active\(since)")
        case "inactive":
            return .ok(
                Self.area, Self.service, "inactive; the first connection to a socket starts it")
        case "activating", "reloading", "deactivating":
            return .warn(
                Self.area, Self.service, state, "wait a moment; systemctl status omni2-native")
        default:
            return .fail(
                Self.area, Self.service, "\(state) (\(unit["Result"] ?? "unknown"))\(since)",
                "journalctl -u omni2-native -e says why; then systemctl restart omni2-native")
        }
    }

    private func socket(_ name: String) -> Finding {
        let unit = UnitFacts(name, environment)
        let (active, enabled) = (unit["ActiveState"] ?? "", unit["UnitFileState"] ?? "")
        if unit["LoadState"] == "not-found" {
            return .warn(Self.area, name, "is not installed", "install the package anew")
        }
        if active != "active" {
            return .fail(
                Self.area, name, "is \(active): nobody is listened to there",
                "systemctl enable --now \(name)")
        }
        return enabled == "enabled"
            ? .ok(Self.area, name, "listening, enabled")
            : .warn(
                Self.area, name, "listening, but \(enabled): not after the next boot",
                "systemctl enable \(name)")
    }

    /// Units of servers that have failed.
    private var failed: [Finding] {
        let words = ["list-units", "--failed", "--plain", "--no-legend", "omni2-mcp@*"]
        // The units above have told already that systemctl does not answer.
        guard let output = try? Process.output(of: "systemctl", words, environment),
            output.status == 0
        else { return [] }
        return output.text.split(separator: "\n").compactMap { line in
            guard let name = line.split(separator: " ").first else { return nil }
            return .fail(
                Self.area, String(name), "failed",
                "journalctl -u '\(name)' -e says why; systemctl restart '\(name)'")
        }
    }
}

/// What systemd knows of a unit; nothing where there is no systemd.
struct UnitFacts {
    private var values: [String: String] = [:]

    init(_ unit: String, _ environment: Environment) {
        let words = [
            "show", unit,
            "--property=LoadState,ActiveState,UnitFileState,Result,MainPID,StateChangeTimestamp",
        ]
        // Without systemctl there is nothing to be known.
        guard Files.isDirectory("/run/systemd/system"),
            let output = try? Process.output(of: "systemctl", words, environment),
            output.status == 0
        else { return }
        for line in output.text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2, !parts[1].isEmpty { values[String(parts[0])] = String(parts[1]) }
        }
    }

    subscript(name: String) -> String? { values[name] }
}
