import OmniIO
import Testing

@testable import omni2_native

@Suite struct WebFilesTests {
    /// A tree of its own for each test.
    private static func tree(_ name: String, _ files: [String: String]) throws -> String {
        let root = "/tmp/omni2-web-\(Process.id)-\(name)"
        try Files.makeDirectory(root)
        for (path, text) in files {
            let folders = path.split(separator: "/").dropLast()
            for count in 0..<folders.count {
                try Files.makeDirectory(root + "/" + folders[...count].joined(separator: "/"))
            }
            try Files.replace("\(root)/\(path)", Array(text.utf8), mode: 0o600)
        }
        return root
    }

    @Test func filesAreFoundByTheirPathAndNothingElseIs() throws {
        let root = try Self.tree(
            "paths",
            [
                "index.html": "<p>", "pages/live.js": "export {}", ".secret.js": "no",
                "notes.txt": "no", "pages/deep/er.js": "no",
            ])
        let files = WebFiles(root: root)
        #expect(files.files.keys.sorted() == ["index.html", "pages/live.js"])
        #expect(files.problems == [])
        for path in ["../index.html", "pages/../index.html", "/etc/passwd", "", "pages"] {
            #expect(files[path] == nil)
        }
    }

    @Test func typesFollowFromNames() throws {
        let root = try Self.tree("types", ["a.js": "1", "b.css": "2", "c.svg": "3"])
        let files = WebFiles(root: root)
        #expect(files["a.js"]?.contentType.description == "text/javascript; charset=utf-8")
        #expect(files["b.css"]?.contentType.description == "text/css; charset=utf-8")
        #expect(files["c.svg"]?.contentType.description == "image/svg+xml")
    }

    @Test func aTagNamesOneContentInOneForm() throws {
        let text = String(repeating: "export const x = 1;\n", count: 100)
        let one = WebFiles.File("text/javascript", Array(text.utf8))
        let other = WebFiles.File("text/javascript", Array((text + " ").utf8))
        let gzip = try #require(one.gzip)
        #expect(gzip.bytes.count < one.plain.bytes.count / 10)
        #expect(Array(gzip.bytes[..<2]) == [0x1F, 0x8B])
        #expect(Set([one.plain.tag, gzip.tag, other.plain.tag]).count == 3)
        #expect(one.content(takesGzip: true).tag == gzip.tag)
        #expect(one.content(takesGzip: false).tag == one.plain.tag)
        for tags in [
            one.plain.tag, gzip.tag, "W/\(gzip.tag)", "\"a\", \(one.plain.tag) , \"b\"", "*",
        ] {
            #expect(one.isNamed(by: tags))
        }
        for tags in ["", "\"\"", other.plain.tag, "garbage"] { #expect(!one.isNamed(by: tags)) }
    }

    @Test func whatDoesNotShrinkIsKeptAsItIs() {
        let file = WebFiles.File("image/png", [1, 2, 3])
        #expect(file.gzip == nil)
        #expect(file.content(takesGzip: true).bytes == [1, 2, 3])
    }

    @Test func aFileBeyondTheBoundIsLeftOutAndNamed() throws {
        let long = String(repeating: "x", count: WebFiles.fileBytesMax + 1)
        let root = try Self.tree("long", ["long.js": long, "short.js": "1"])
        let files = WebFiles(root: root)
        #expect(files["long.js"] == nil)
        #expect(files["short.js"] != nil)
        #expect(files.problems.count == 1 && files.problems[0].contains("long.js"))
    }

    @Test func aDirectoryThatIsNotThereHasNoFiles() {
        #expect(WebFiles(root: "/nonexistent").files.isEmpty)
    }

    @Test func withoutATreeAroundItTheProgramLooksWhereThePackagePutsThem() throws {
        #expect(WebFiles.standardRoot(executable: "/usr/bin/x") == "/usr/share/omni2/web")
        #expect(WebFiles.standardRoot(executable: nil) == "/usr/share/omni2/web")
        let root = try Self.tree("tree", ["web/index.html": "<p>"])
        let program = "\(root)/.build/x86_64/debug/omni2-native"
        #expect(WebFiles.standardRoot(executable: program) == "\(root)/web")
    }
}

@Suite struct OperatorSessionTests {
    private static let token = SecretHash(of: "a token of sixteen letters")

    @Test func aSessionIsKnownBySignature() throws {
        let (session, secret) = OperatorSession.make(at: 1_000_000, Self.token)
        #expect(OperatorSession(secret, Self.token) == session)
        #expect(session.expiresAt == Int64(1 + OperatorSession.seconds) * 1_000_000)
        #expect(session.principal.isAdministrator)
    }

    @Test func nobodyElseCanWriteOne() {
        let (_, secret) = OperatorSession.make(at: 1_000_000, Self.token)
        #expect(OperatorSession(secret, SecretHash(of: "another token")) == nil)
        let parts = secret.split(separator: ".").map(String.init)
        let later = [parts[0], "99999999999", parts[2], parts[3]].joined(separator: ".")
        for wrong in [later, secret + "0", String(secret.dropLast()), "", OperatorSession.prefix] {
            #expect(OperatorSession(wrong, Self.token) == nil)
        }
    }

    @Test func whatWasLoggedOutStaysOutUntilItWouldHaveEnded() {
        var ended = EndedSessions()
        let (session, _) = OperatorSession.make(at: 0, Self.token)
        ended.insert(session, at: 0)
        #expect(ended.contains(session.name))
        let (other, _) = OperatorSession.make(at: session.expiresAt, Self.token)
        ended.insert(other, at: session.expiresAt + 1)
        #expect(!ended.contains(session.name))
        #expect(ended.contains(other.name))
    }
}
