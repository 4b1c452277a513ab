import OmniCore
import OmniIO

/// `doctor`: is this host fit for the daemon, and is the daemon well? Each check says what it found
/// and, where that is not as it should be, what to do.
///
/// The host comes first, since without io_uring we could not ask the daemon either. With `--host` only
/// the daemon is looked at: the host is another one.
enum Doctor {
    @Sendable
    static func run(
        _ invocation: Invocation, _ environment: Environment
    ) throws(Failure) -> Reply {
        Process.ignoreBrokenPipes()
        let door = try Door(invocation.options, environment)
        var findings: [Finding] = []
        if case .socket(let socket) = door.place {
            findings += HostChecks(environment).findings
            findings += UnitChecks(environment).findings
            findings += SocketChecks(socket, environment).findings
            findings.append(ConfigurationVerdict.finding(environment, invocation.option("config")))
        }
        do throws(Failure) {
            let reply = try Operator.run(at: door, environment) { client async in
                Reply(.array(await DaemonChecks(client).findings().map(\.json)), "")
            }
            findings += (reply.json.array ?? []).map { Finding($0) }
        } catch {
            findings.append(
                .fail("Daemon", "Reachable", error.message, "mend what is said above first"))
        }
        return reply(findings)
    }

    private static func reply(_ findings: [Finding]) -> Reply {
        let failed = findings.count { $0.status == .fail }
        let warned = findings.count { $0.status == .warn }
        let json: JSONValue = [
            "ok": .bool(failed == 0), "failed": JSONValue(failed), "warnings": JSONValue(warned),
            "checks": .array(findings.map(\.json)),
        ]
        var reply = Reply(json) { style in
            var (text, area) = ("", "")
            let width = findings.map(\.name.count).max() ?? 0
            for finding in findings {
                if finding.area != area {
                    area = finding.area
                    text += (text.isEmpty ? "" : "\n") + style.paint(area, .bold) + "\n"
                }
                text += finding.text(style, nameWidth: width)
            }
            return text + "\n" + verdict(failed, warned, style)
        }
        reply.isSuccess = failed == 0
        return reply
    }

    private static func verdict(_ failed: Int, _ warned: Int, _ style: Style) -> String {
        if failed == 0, warned == 0 { return style.paint("All is well.", .green) + "\n" }
        var parts: [String] = []
        if failed > 0 { parts.append("\(failed) failed") }
        if warned > 0 { parts.append(Words.count(warned, "warning")) }
        return style.paint(parts.joined(separator: ", ") + ".", failed > 0 ? .red : .yellow) + "\n"
    }
}

/// One thing that was looked at.
struct Finding: Sendable {
    enum Status: String, Sendable { case ok, warn, fail, skip }

    let area: String
    let name: String
    let status: Status
    let message: String
    /// What to do; empty where nothing needs to be done.
    let advice: String

    static func ok(_ area: String, _ name: String, _ message: String) -> Finding {
        Finding(area: area, name: name, status: .ok, message: message, advice: "")
    }

    static func warn(
        _ area: String, _ name: String, _ message: String, _ advice: String
    ) -> Finding {
        Finding(area: area, name: name, status: .warn, message: message, advice: advice)
    }

    static func fail(
        _ area: String, _ name: String, _ message: String, _ advice: String
    ) -> Finding {
        Finding(area: area, name: name, status: .fail, message: message, advice: advice)
    }

    /// It could not be looked at, or does not concern this host.
    static func skip(_ area: String, _ name: String, _ message: String) -> Finding {
        Finding(area: area, name: name, status: .skip, message: message, advice: "")
    }

    var json: JSONValue {
        [
            "area": .string(area), "name": .string(name), "status": .string(status.rawValue),
            "message": .string(message), "advice": advice.isEmpty ? .null : .string(advice),
        ]
    }

    func text(_ style: Style, nameWidth: Int) -> String {
        let colour: Style.Colour? = status == .skip ? .dim : Style.colour(of: status.rawValue)
        let word = status.rawValue + Words.spaces(4 - status.rawValue.count)
        let label = name + Words.spaces(nameWidth - name.count)
        var text = "  \(style.paint(word, colour))  \(label)  \(Words.harmless(message))\n"
        if !advice.isEmpty { text += Words.spaces(8) + "→ \(Words.harmless(advice))\n" }
        return text
    }
}

extension Finding {
    /// As `json` wrote it.
    init(_ json: JSONValue) {
        area = json["area"]?.string ?? ""
        name = json["name"]?.string ?? ""
        status = json["status"]?.string.flatMap(Status.init) ?? .fail
        message = json["message"]?.string ?? ""
        advice = json["advice"]?.string ?? ""
    }
}
