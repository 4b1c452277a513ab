import OmniIO

/// Which files make up the configuration, in the order systemd itself merges them: the main file
/// first, then the drop-ins of all directories sorted by name. A drop-in hides those of the same
/// name in later directories; one that leads to `/dev/null` hides them and says nothing itself.
struct ConfigurationLocation: Hashable, Sendable {
    /// The first that exists is read.
    var mainFiles: [String]
    /// Without the main file there is no configuration, rather than the defaults.
    var mainFileIsRequired: Bool
    /// From the strongest to the weakest.
    var dropInDirectories: [String]

    /// The host's places; a test puts a directory in front.
    static func system(root: String = "") -> ConfigurationLocation {
        let places = ["/etc", "/run", "/usr/local/lib", "/usr/lib"].map { root + $0 }
        return ConfigurationLocation(
            mainFiles: places.map { "\($0)/omni2/omni2.conf" }, mainFileIsRequired: false,
            dropInDirectories: places.map { "\($0)/omni2/omni2.conf.d" })
    }

    /// `--config FILE`: that file and the drop-ins beside it, nothing of the host's.
    static func file(_ path: String) -> ConfigurationLocation {
        ConfigurationLocation(
            mainFiles: [path], mainFileIsRequired: true, dropInDirectories: ["\(path).d"])
    }

    /// Paths to read, weakest assignment first.
    func paths(problems: inout [ConfigurationProblem]) -> [String] {
        var paths: [String] = []
        if let main = mainFiles.first(where: Files.exists) {
            paths.append(main)
        } else if mainFileIsRequired {
            problems.append(
                ConfigurationProblem(
                    place: mainFiles.first ?? "--config", subject: "", what: "no such file",
                    remedy: "create it, or name another with --config"))
        }
        var dropIns: [String: String] = [:]
        for directory in dropInDirectories {
            do throws(SystemError) {
                for name in try Files.names(in: directory) where name.hasSuffix(".conf") {
                    if dropIns[name] == nil { dropIns[name] = "\(directory)/\(name)" }
                }
            } catch {
                problems.append(
                    ConfigurationProblem(
                        place: directory, subject: "", what: error.message,
                        remedy: "make the directory readable for the daemon's user"))
            }
        }
        let names = dropIns.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return paths + names.compactMap { dropIns[$0] }.filter { !Files.isMask($0) }
    }

    /// Every file, in the order in which later assignments win.
    func read(problems: inout [ConfigurationProblem]) -> [ConfigurationFile] {
        var files: [ConfigurationFile] = []
        for path in paths(problems: &problems) {
            do throws(Files.ReadError) {
                let bytes = try Files.read(path, bytesMax: ConfigurationFile.bytesMax)
                let file = ConfigurationFile(path: path, bytes: bytes)
                files.append(file)
                problems += file.problems
            } catch {
                problems.append(
                    ConfigurationProblem(
                        place: path, subject: "", what: error.description,
                        remedy: "make it a readable file, or remove it"))
            }
        }
        return files
    }
}
