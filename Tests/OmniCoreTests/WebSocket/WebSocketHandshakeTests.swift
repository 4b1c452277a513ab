import OmniCore
import Testing

@Suite("WebSocket: handshake")
struct WebSocketHandshakeTests {
    /// The digest of the key in the standard's example; cryptography is not this module's.
    private static let digest: [20 of UInt8] = [
        0xB3, 0x7A, 0x4F, 0x2C, 0xC0, 0x62, 0x4F, 0x16, 0x90, 0xF6,
        0x46, 0x06, 0xCF, 0x38, 0x59, 0x45, 0xB2, 0xBE, 0xC4, 0xEA,
    ]

    private static let headers = [
        "Host": "server.example.com", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
    ]

    private func answer(
        _ changes: [String: String?] = [:], start: String = "GET /ws HTTP/1.1",
        deflate: PerMessageDeflate.Policy? = PerMessageDeflate.Policy()
    ) -> Result<String, WebSocketHandshakeError> {
        let headers = Self.headers.merging(
            changes.compactMapValues { $0 }, uniquingKeysWith: { $1 })
        var text = start + "\r\n"
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) {
            if case .some(.none) = changes[name] { continue }
            text += "\(name): \(value)\r\n"
        }
        return answer(toRequest: text + "\r\n", deflate: deflate)
    }

    private func answer(
        toRequest text: String, deflate: PerMessageDeflate.Policy?
    ) -> Result<String, WebSocketHandshakeError> {
        let bytes = [UInt8](text.utf8)
        let span = unsafe bytes.span.bytes
        var head = HTTPRequestHead()
        var parser = HTTPRequestParser()
        let step = try? parser.next(in: span, limits: HTTPLimits(), head: &head)
        #expect(step == .head)
        var hashed = ""
        do throws(WebSocketHandshakeError) {
            let handshake = try WebSocketHandshake.check(
                head, in: span, deflate: deflate,
                sha1: { input in
                    hashed = input.string()
                    return Self.digest
                })
            #expect(hashed == "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
            var writer = ByteWriter(capacity: 1024)
            handshake.respond(into: &writer)
            return .success(writer.string())
        } catch {
            return .failure(error)
        }
    }

    @Test func theExampleOfTheStandardIsAccepted() {
        let expected =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        #expect(answer() == .success(expected))
        #expect(answer(["Connection": "keep-alive, UPGRADE"]) == .success(expected))
        #expect(answer(["Upgrade": "h2c, WebSocket"]) == .success(expected))
        #expect(answer(["Sec-WebSocket-Protocol": "chat"]) == .success(expected))
    }

    static let refused: [([String: String?], WebSocketHandshakeError)] = [
        (["Upgrade": nil], .notRequested), (["Upgrade": "h2c"], .notRequested),
        (["Connection": nil], .missingConnection), (["Connection": "close"], .missingConnection),
        (["Sec-WebSocket-Version": nil], .unsupportedVersion),
        (["Sec-WebSocket-Version": "8"], .unsupportedVersion),
        (["Sec-WebSocket-Version": "13, 8"], .unsupportedVersion),
        (["Sec-WebSocket-Version": "013"], .unsupportedVersion),
        (["Sec-WebSocket-Key": nil], .missingKey), (["Sec-WebSocket-Key": ""], .invalidKey),
        (["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"], .invalidKey),
        (["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=1"], .invalidKey),
        (["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQAA"], .invalidKey),
        (["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZ!=="], .invalidKey),
        (["Content-Length": "1"], .hasBody),
    ]

    @Test(arguments: refused)
    func anIncompleteUpgradeIsRefused(
        changes: [String: String?], error: WebSocketHandshakeError
    ) {
        #expect(answer(changes) == .failure(error))
    }

    @Test func itIsOpenedWithGETAndHTTP11() {
        #expect(answer(start: "POST /ws HTTP/1.1") == .failure(.methodIsNotGet))
        #expect(answer(start: "GET /ws HTTP/1.0") == .failure(.needsHTTP11))
    }

    @Test func aKeyIsGivenOnce() {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        let text =
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Version: 13\r\n" + key + key + "\r\n"
        #expect(answer(toRequest: text, deflate: nil) == .failure(.invalidKey))
    }

    @Test func anotherVersionIsToldWhichOneIsSpoken() {
        var writer = ByteWriter(capacity: 1024)
        let date = [UInt8]("Sun, 06 Nov 1994 08:49:37 GMT".utf8)
        unsafe WebSocketHandshake.refuse(.unsupportedVersion, date: date.span.bytes, into: &writer)
        let text = writer.string()
        #expect(text.hasPrefix("HTTP/1.1 426 Upgrade Required\r\n"))
        #expect(text.contains("\r\nSec-WebSocket-Version: 13\r\n"))
        #expect(text.contains("\r\nUpgrade: websocket\r\n"))
    }

    // MARK: permessage-deflate

    private static let plain =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    private func agreed(
        _ offers: String, _ policy: PerMessageDeflate.Policy? = PerMessageDeflate.Policy()
    ) -> String? {
        guard
            case .success(let text) = answer(["Sec-WebSocket-Extensions": offers], deflate: policy)
        else { return "refused" }
        let line = text.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Extensions") }
        return line.map { String($0.dropFirst("Sec-WebSocket-Extensions: ".count)) }
    }

    @Test(arguments: [
        ("permessage-deflate", plain),
        ("permessage-deflate; client_max_window_bits", plain),
        ("permessage-deflate; client_max_window_bits=10", plain),
        ("permessage-deflate;server_no_context_takeover;client_no_context_takeover", plain),
        ("permessage-deflate; server_max_window_bits=10", plain + "; server_max_window_bits=10"),
        (
            "permessage-deflate; server_max_window_bits=\"12\"",
            plain + "; server_max_window_bits=12"
        ),
        ("permessage-deflate; server_max_window_bits=15", plain + "; server_max_window_bits=15"),
        ("x-webkit-deflate-frame, permessage-deflate", plain),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate", plain
        ),
        ("permessage-deflate; unknown=1, permessage-deflate; client_max_window_bits", plain),
    ])
    func theFirstAcceptableOfferIsTaken(offers: String, response: String) {
        #expect(agreed(offers) == response)
    }

    @Test(arguments: [
        "", "permessage-bzip2", "Permessage-deflate", "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
    ])
    func whatIsInvalidIsDeclinedWithoutRefusingTheConnection(offers: String) {
        #expect(agreed(offers) == nil)
    }

    @Test func smallerWindowsAreAPolicy() {
        let policy = PerMessageDeflate.Policy(serverWindowBitsMax: 11, clientWindowBitsMax: 10)
        #expect(agreed("permessage-deflate", policy) == Self.plain + "; server_max_window_bits=11")
        #expect(
            agreed("permessage-deflate; client_max_window_bits", policy)
                == Self.plain + "; server_max_window_bits=11; client_max_window_bits=10")
        #expect(
            agreed("permessage-deflate; server_max_window_bits=9; client_max_window_bits=9", policy)
                == Self.plain + "; server_max_window_bits=9")
        #expect(agreed("permessage-deflate", nil) == nil)
    }
}
