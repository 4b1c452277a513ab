import OmniCore
import Testing

@Suite("HTTP: hosts and origins")
struct HostPolicyTests {
    private let hosts = HostPolicy(names: ["omni2.example.com", "10.0.0.5:8080", "[fd00::5]"])
    private let origins = OriginPolicy(origins: ["https://dash.example.com", "ops.example.com"])

    private func allowsHost(_ text: String, _ policy: HostPolicy? = nil) -> Bool {
        let bytes = [UInt8](text.utf8)
        let range = ByteRange(offset: 0, count: bytes.count)
        return unsafe (policy ?? hosts).allows(range, in: bytes.span.bytes)
    }

    private func allowsOrigin(_ text: String, host: String = "omni2.example.com:8090") -> Bool {
        let bytes = [UInt8]((text + host).utf8)
        let origin = ByteRange(offset: 0, count: text.utf8.count)
        let authority = ByteRange(from: origin.end, to: bytes.count)
        return unsafe origins.allows(origin, authority: authority, in: bytes.span.bytes)
    }

    @Test(arguments: [
        "localhost", "localhost:8090", "LOCALHOST.", "127.0.0.1", "127.0.0.1:1", "127.255.0.9",
        "127.0.0.1.",
        "[::1]", "[::1]:8090", "omni2.example.com", "OMNI2.Example.com:8090",
        "omni2.example.com.", "10.0.0.5:8080", "[fd00::5]:1",
    ])
    func ourNamesAreAllowed(host: String) {
        #expect(allowsHost(host))
    }

    @Test(
        arguments: [
            "", ":80", "evil.com", "evil.com:8090", "localhost.evil.com", "evil.localhost.com",
            "127.0.0.1.evil.com", "127.0.0.256", "127.0.1", "127.0.0.1.1",
            "1127.0.0.1",
            "127.0.0.01x", "10.0.0.5", "10.0.0.5:81", "[::1", "[::1]evil", "[::2]", "localhost:80x",
            "xomni2.example.com", "omni2.example.com..", "0.0.0.0", "localhost:80:80",
        ])
    func foreignNamesAreNot(host: String) {
        #expect(!allowsHost(host))
    }

    @Test func withoutConfigurationOnlyLoopbackIsAllowed() {
        #expect(allowsHost("localhost", HostPolicy()))
        #expect(!allowsHost("omni2.example.com", HostPolicy()))
    }

    @Test func programsSendNoOrigin() {
        #expect(unsafe origins.allows(nil, authority: .empty, in: [UInt8]().span.bytes))
    }

    @Test(arguments: [
        "http://localhost:3000", "https://localhost", "http://127.0.0.1:8090", "http://[::1]:1",
        "https://dash.example.com", "HTTPS://DASH.example.com", "http://ops.example.com",
        "https://ops.example.com:444", "http://omni2.example.com:8090",
    ])
    func ourPagesMayCall(origin: String) {
        #expect(allowsOrigin(origin))
    }

    @Test(arguments: [
        "", "null", "NULL", "http://", "http://evil.com", "https://dash.example.com.evil.com",
        "http://dash.example.com", "https://dash.example.com:444", "http://localhost.evil.com",
        "file://localhost", "http://localhost@evil.com", "http://evil.com/localhost",
        "http://localhost/", "http://localhost http://evil.com", "http://omni2.example.com",
        "ws://localhost", "localhost",
    ])
    func foreignPagesMayNot(origin: String) {
        #expect(!allowsOrigin(origin))
    }
}

@Suite("HTTP: queries")
struct HTTPQueryTests {
    private func value(_ name: StaticString, in text: String) -> String? {
        let bytes = [UInt8](text.utf8)
        let span = unsafe bytes.span.bytes
        let query = HTTPQuery(ByteRange(offset: 0, count: bytes.count))
        return query.value(of: name, in: span).flatMap {
            PercentEncoding.decoded(span, $0, as: .query)
        }
    }

    @Test func parametersAreFoundByName() {
        let text = "a=1&&b=x%20y+z&c&d=&a=2&%65=%C3%A9&f=%"
        #expect(value("a", in: text) == "1")
        #expect(value("b", in: text) == "x y z")
        #expect(value("c", in: text) == "")
        #expect(value("d", in: text) == "")
        #expect(value("e", in: text) == "é")
        #expect(value("f", in: text) == nil)
        #expect(value("g", in: text) == nil)
        #expect(value("", in: "") == nil)
    }

    @Test func parametersAreListedInOrder() {
        let bytes = [UInt8]("x&y=1&=2&z=a=b&".utf8)
        let span = unsafe bytes.span.bytes
        let query = HTTPQuery(ByteRange(offset: 0, count: bytes.count))
        var position = query.start
        var found: [String] = []
        while let parameter = query.next(span, position: &position) {
            found.append(span.string(parameter.name) + "→" + span.string(parameter.value))
        }
        #expect(found == ["x→", "y→1", "→2", "z→a=b"])
    }

    @Test(
        arguments: [
            ("", ""), ("/a%2Fb", "/a/b"), ("+", "+"), ("%e2%82%AC", "€"), ("%", nil), ("%4", nil),
            ("%4g", nil), ("a%zz", nil), ("%00", nil), ("%ff", nil), ("%25", "%"),
        ] as [(String, String?)])
    func pathsAreDecodedStrictly(text: String, decoded: String?) {
        let bytes = [UInt8](text.utf8)
        let range = ByteRange(offset: 0, count: bytes.count)
        #expect(unsafe PercentEncoding.decoded(bytes.span.bytes, range, as: .path) == decoded)
    }

    @Test func namesAreComparedDecoded() {
        let bytes = [UInt8]("%61b+c%2".utf8)
        let span = unsafe bytes.span.bytes
        func equals(_ count: Int, _ kind: PercentEncoding.Kind, _ text: StaticString) -> Bool {
            PercentEncoding.equals(span, ByteRange(offset: 0, count: count), as: kind, text)
        }
        #expect(equals(6, .query, "ab c"))
        #expect(equals(6, .path, "ab+c"))
        #expect(!equals(6, .path, "ab+"))
        #expect(!equals(6, .path, "ab+cd"))
        #expect(!equals(8, .path, "ab+c%2"))
    }
}
