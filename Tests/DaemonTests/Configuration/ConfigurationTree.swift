import Glibc
import OmniIO

@testable import omni2_native

/// A directory that stands for `/`, with files a test writes into it; gone with the test.
final class ConfigurationTree {
    let root: String

    init() {
        var template = Array("/tmp/omni2-test-XXXXXX".utf8CString)
        root = unsafe template.withUnsafeMutableBufferPointer { room in
            guard let path = unsafe mkdtemp(room.baseAddress!) else {
                preconditionFailure("mkdtemp: \(errno)")
            }
            return unsafe String(cString: path)
        }
    }

    /// What was made, in order; each goes before what it lies in.
    private var made: [String] = []

    deinit {
        for path in made.reversed() { unsafe remove(path) }
        unsafe rmdir(root)
    }

    func write(_ path: String, _ text: String) { write(path, Array(text.utf8)) }

    func write(_ path: String, _ bytes: [UInt8]) {
        makeParent(of: path)
        let descriptor = unsafe open(root + path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o600)
        precondition(descriptor >= 0, "open \(path): \(errno)")
        made.append(root + path)
        let count = unsafe Glibc.write(descriptor, bytes, bytes.count)
        precondition(count == bytes.count)
        close(descriptor)
    }

    func link(_ path: String, to target: String) {
        makeParent(of: path)
        unsafe unlink(root + path)
        let status = unsafe symlink(target, root + path)
        precondition(status == 0)
        made.append(root + path)
    }

    func makeDirectory(_ path: String) {
        var current = root
        for part in path.split(separator: "/") {
            current += "/\(part)"
            if unsafe mkdir(current, 0o700) == 0 { made.append(current) }
        }
    }

    private func makeParent(of path: String) {
        if let slash = path.lastIndex(of: "/") { makeDirectory(String(path[..<slash])) }
    }

    var location: ConfigurationLocation { .system(root: root) }

    /// Reads the tree with a plain environment, plus these variables.
    func load(_ variables: [String: String] = [:]) throws(ConfigurationError) -> Configuration {
        let own = ["STATE_DIRECTORY": "/state", "RUNTIME_DIRECTORY": "/run/omni2"]
        return try Configuration.load(
            location, environment: .init(own.merging(variables) { $1 }))
    }

    /// What is wrong with the tree, without the root in front of paths.
    func problems(_ variables: [String: String] = [:]) -> [String] {
        do throws(ConfigurationError) {
            _ = try load(variables)
            return []
        } catch {
            return error.problems.map { problem in
                let text = problem.description
                return text.hasPrefix(root) ? String(text.dropFirst(root.count)) : text
            }
        }
    }
}
