import OmniCore
import OmniIO

/// The unit of a stdio server on this host: `omni2-mcp@NAME.service` behind `omni2-mcp@NAME.socket`.
/// Each step says what it did.
struct ServerUnit: Sendable {
    let name: String

    private static let units = "/etc/systemd/system"
    private static let templates = [
        "\(units)/omni2-mcp@.socket", "/usr/local/lib/systemd/system/omni2-mcp@.socket",
        "/usr/lib/systemd/system/omni2-mcp@.socket", "/lib/systemd/system/omni2-mcp@.socket",
    ]

    private var folder: String { "\(Self.units)/omni2-mcp@\(name).service.d" }
    private var file: String { "\(folder)/omni2ctl.conf" }
    private var variables: String { "\(folder)/omni2ctl.env" }
    private var socket: String { "omni2-mcp@\(name).socket" }

    /// Whether the stdio servers of the daemon behind this door are units of this host.
    static func areUsed(_ door: Door) -> Bool {
        door.place == .socket("/run/omni2/admin.sock") && Files.isDirectory("/run/systemd/system")
            && templates.contains(where: Files.exists)
    }

    init(_ name: String) throws(Failure) {
        let isUnitName = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."), UInt8(ascii: ":"):
                true
            default: false
            }
        }
        guard isUnitName, name.utf8.count <= 64, name.utf8.first != UInt8(ascii: ".") else {
            throw .usage(
                "a server with --command is a unit of systemd's: its name is at most 64 letters, "
                    + "digits, hyphens, underscores, dots or colons, not \(name)")
        }
        self.name = name
    }

    var isThere: Bool { Files.exists(file) }

    /// Only root may; better to know before anything is done.
    static func requireRoot(_ what: String) throws(Failure) {
        guard Process.user == 0 else {
            throw .failed("\(what) changes units of systemd's, which only root may; try sudo")
        }
    }

    func install(
        _ content: UnitFile, _ environment: Environment
    ) throws(Failure) -> [String] {
        do throws(SystemError) {
            try Files.makeDirectory(folder, mode: 0o755)
            try Files.remove(variables)
            if !content.environment.isEmpty {
                try Files.replace(variables, Array(content.variables.utf8), mode: 0o600)
            }
            let text = content.text(variablesPath: variables)
            try Files.replace(file, Array(text.utf8), mode: 0o644)
        } catch {
            throw .failed("\(file) cannot be written: \(error.message)")
        }
        do throws(Failure) {
            try Self.systemctl(["daemon-reload"], environment)
            try Self.systemctl(["--quiet", "enable", "--now", socket], environment)
        } catch {
            // Half of a unit would only puzzle; the first error is the one to tell.
            _ = try? remove(environment)
            throw error
        }
        return [
            "wrote \(file)", "enabled \(socket), which listens at /run/omni2/mcp/\(name).sock",
        ]
    }

    /// What the server itself has kept below /var/lib/omni2-mcp stays.
    func remove(_ environment: Environment) throws(Failure) -> [String] {
        try Self.systemctl(["--quiet", "disable", "--now", socket], environment)
        try Self.systemctl(["--quiet", "stop", "omni2-mcp@\(name).service"], environment)
        do throws(SystemError) {
            try Files.remove(file)
            try Files.remove(variables)
            try Files.removeEmptyDirectory(folder)
        } catch {
            throw .failed("\(file) cannot be removed: \(error.message)")
        }
        try Self.systemctl(["daemon-reload"], environment)
        return ["stopped and disabled \(socket)", "removed \(file)"]
    }

    private static func systemctl(
        _ words: [String], _ environment: Environment
    ) throws(Failure) {
        let line = "systemctl " + words.joined(separator: " ")
        let status: Int32
        do throws(SystemError) {
            status = try Process.run("systemctl", words, environment)
        } catch {
            throw .failed("\(line) cannot be run: \(error.message)")
        }
        guard status == 0 else { throw .failed("\(line) ended with status \(status)") }
    }
}
