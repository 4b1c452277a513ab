import OmniCore
import OmniIO

/// The dashboard's files, whole and ready to send: read at the start and at a reload, so that a request
/// touches no disk. A path is a key of a table; there is nothing to climb out of.
struct WebFiles: Sendable {
    struct File: Sendable {
        let contentType: StaticString
        let plain: Content
        /// Where it is shorter.
        let gzip: Content?
    }

    /// Bytes and their entity tag, which differs between a file and its compressed form.
    struct Content: Sendable {
        let bytes: [UInt8]
        let tag: String
    }

    /// By path below the root: `index.html`, `pages/live.js`.
    private(set) var files: [String: File] = [:]
    /// Files that were left out, and why.
    private(set) var problems: [String] = []

    /// Beyond these a file is left out; the dashboard's own are a tenth of it.
    static let filesMax = 256
    static let fileBytesMax = 1 << 20
    static let bytesMax = 8 << 20

    init() {}

    /// Reads the root and the folders in it, one level deep. Blocks.
    init(root: String) {
        var bytes = 0
        read(root, below: "", &bytes)
        do throws(SystemError) {
            for name in try Files.names(in: root) where !name.hasPrefix(".") {
                let folder = "\(root)/\(name)"
                if Files.isDirectory(folder) { read(folder, below: "\(name)/", &bytes) }
            }
        } catch {
            problems.append("\(root): \(error.message)")
        }
    }

    subscript(path: String) -> File? { files[path] }

    private mutating func read(_ folder: String, below prefix: String, _ sum: inout Int) {
        do throws(SystemError) {
            for name in try Files.names(in: folder) where !name.hasPrefix(".") {
                let path = "\(folder)/\(name)"
                guard let type = Self.contentType(of: name), !Files.isDirectory(path) else {
                    continue
                }
                guard files.count < Self.filesMax else {
                    return problems.append("\(path): more than \(Self.filesMax) files")
                }
                load(path, as: prefix + name, type, &sum)
            }
        } catch {
            problems.append("\(folder): \(error.message)")
        }
    }

    private mutating func load(
        _ path: String, as name: String, _ type: StaticString, _ sum: inout Int
    ) {
        do throws(Files.ReadError) {
            let left = min(Self.fileBytesMax, Self.bytesMax - sum)
            let bytes = try Files.read(path, bytesMax: left)
            sum += bytes.count
            files[name] = File(type, bytes)
        } catch {
            problems.append("\(path): \(error.description)")
        }
    }

    private static func contentType(of name: String) -> StaticString? {
        guard let dot = name.lastIndex(of: ".") else { return nil }
        return switch name[name.index(after: dot)...] {
        case "html": "text/html; charset=utf-8"
        case "js": "text/javascript; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "svg": "image/svg+xml"
        case "png": "image/png"
        case "ico": "image/x-icon"
        case "webmanifest": "application/manifest+json"
        default: nil
        }
    }
}

extension WebFiles.File {
    init(_ contentType: StaticString, _ bytes: [UInt8]) {
        self.contentType = contentType
        var writer = ByteWriter(capacity: 64)
        Digest.sha256(bytes).withRawSpan {
            Hex.encode($0.extracting(first: 12), into: &writer)
        }
        let digest = writer.string()
        plain = WebFiles.Content(bytes: bytes, tag: "\"\(digest)\"")
        do throws(SystemError) {
            let packed = try Gzip.compressed(bytes)
            gzip =
                packed.count < bytes.count
                ? WebFiles.Content(bytes: packed, tag: "\"\(digest)-gzip\"") : nil
        } catch {
            // No memory for zlib: it is served as it is.
            gzip = nil
        }
    }

    /// What is sent to a client that takes gzip, or does not.
    func content(takesGzip: Bool) -> WebFiles.Content { takesGzip ? gzip ?? plain : plain }

    /// Whether the client's copy, named by `If-None-Match`, is still the file.
    func isNamed(by tags: String) -> Bool {
        tags.split(separator: ",").contains { text in
            var tag = text.drop { $0 == " " }
            while tag.last == " " { tag.removeLast() }
            if tag.hasPrefix("W/") { tag.removeFirst(2) }
            return tag == "*" || tag == plain.tag || tag == gzip?.tag ?? ""
        }
    }
}

extension WebFiles {
    /// Where they are when nothing is configured: `web/` of the tree that the program was built in, or
    /// where the package puts them.
    static func standardRoot(executable: String?) -> String {
        if let executable, let build = executable.range(of: "/.build/") {
            let tree = executable[..<build.lowerBound] + "/web"
            if Files.isDirectory(String(tree)) { return String(tree) }
        }
        return "/usr/share/omni2/web"
    }
}

extension String {
    /// The last place where `text` stands. The library's own needs Foundation.
    fileprivate func range(of text: String) -> Range<Index>? {
        var end = endIndex
        while let start = self[..<end].lastIndex(of: "/") {
            if self[start...].hasPrefix(text) {
                return start..<index(start, offsetBy: text.count)
            }
            end = start
        }
        return nil
    }
}
