import OmniIO

/// What `omni2-native --check` says of the configuration.
enum ConfigurationVerdict {
    private static let area = "Configuration"

    static func finding(_ environment: Environment, _ file: String?) -> Finding {
        guard let program = ConfigurationCheck.find(environment) else {
            return .warn(
                area, "Files", "omni2-native is not installed beside omni2ctl, nor in $PATH",
                "install it, or call omni2ctl by its whole path")
        }
        let output: Process.Output
        do throws(SystemError) {
            output = try Process.output(
                of: program, (file.map { ["--config", $0] } ?? []) + ["--check"], environment)
        } catch {
            return .fail(
                area, "Files", "\(program) cannot be run: \(error.message)", "install it anew")
        }
        let lines = output.text.split(separator: "\n")
        if output.status == 0 { return .ok(area, "Files", "fine") }
        let more = lines.count > 1 ? " (and \(lines.count - 1) more lines)" : ""
        return .fail(
            area, "Files", "\(lines.first ?? "no reason given")\(more)",
            "omni2ctl config check says everything that is wrong, with its line and a remedy")
    }
}
