import OmniCore
import Testing

@Suite("HTTP: responses")
struct HTTPResponseWriterTests {
    private static let date = [UInt8]("Sun, 06 Nov 1994 08:49:37 GMT".utf8)

    private func write(_ body: (inout ByteWriter) -> Void) -> String {
        var writer = ByteWriter(capacity: 1024)
        body(&writer)
        return writer.string()
    }

    @Test func aWholeResponseIsWritten() {
        let body = [UInt8]("{\"ok\":true}".utf8)
        let text = write { writer in
            var response = HTTPResponseWriter(keepsAlive: true)
            unsafe response.respond(
                .ok, contentType: "application/json", date: Self.date.span.bytes,
                body: body.span.bytes, into: &writer)
        }
        #expect(
            text == "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                + "Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}")
    }

    @Test func HEADIsAnsweredWithoutTheBodyItAnnounces() {
        let body = [UInt8]("12345".utf8)
        let text = write { writer in
            var response = HTTPResponseWriter(keepsAlive: true, omitsBody: true)
            unsafe response.respond(
                .ok, contentType: "text/plain", date: Self.date.span.bytes, body: body.span.bytes,
                into: &writer)
        }
        #expect(text.hasSuffix("Content-Length: 5\r\n\r\n"))
    }

    @Test func noContentHasNoFraming() {
        let text = write { writer in
            var response = HTTPResponseWriter(keepsAlive: true)
            unsafe response.respond(
                .noContent, contentType: "text/plain", date: Self.date.span.bytes,
                body: Self.date.span.bytes, into: &writer)
        }
        #expect(
            text == "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n")
    }

    private func head(
        _ version: HTTPVersion, keepsAlive: Bool, _ body: HTTPResponseWriter.Body
    ) -> (text: String, keepsAlive: Bool) {
        var response = HTTPResponseWriter(version: version, keepsAlive: keepsAlive)
        let text = write { writer in
            response.begin(.ok, into: &writer)
            response.end(body, into: &writer)
        }
        return (text, response.keepsAlive)
    }

    @Test func theConnectionHeaderFollowsTheVersion() {
        let start = "HTTP/1.1 200 OK\r\n"
        let length = "Content-Length: 3\r\n"
        #expect(head(.http11, keepsAlive: true, .count(3)).text == start + length + "\r\n")
        #expect(
            head(.http11, keepsAlive: false, .count(3)).text
                == start + length + "Connection: close\r\n\r\n")
        #expect(
            head(.http10, keepsAlive: true, .count(3)).text
                == start + length + "Connection: keep-alive\r\n\r\n")
    }

    @Test func oldClientsGetStreamsUntilTheEnd() {
        let new = head(.http11, keepsAlive: true, .stream)
        #expect(new.text == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        #expect(new.keepsAlive)
        let old = head(.http10, keepsAlive: true, .stream)
        #expect(old.text == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        #expect(!old.keepsAlive)
    }

    @Test func chunksAreFramed() {
        let piece = [UInt8](repeating: 0x78, count: 26)
        func chunks(_ version: HTTPVersion) -> String {
            write { writer in
                let response = HTTPResponseWriter(version: version, keepsAlive: true)
                unsafe response.chunk(piece.span.bytes, into: &writer)
                unsafe response.chunk([UInt8]().span.bytes, into: &writer)
                response.endChunks(into: &writer)
            }
        }
        let text = String(repeating: "x", count: 26)
        #expect(chunks(.http11) == "1a\r\n" + text + "\r\n0\r\n\r\n")
        #expect(chunks(.http10) == text)
    }

    @Test func aValueCannotEndItsHeader() {
        let value = "a\r\nSet-Cookie: evil\u{0}\u{7F}é\t"
        let clean = "X: a  Set-Cookie: evil  é\t\r\n"
        let bytes = [UInt8](value.utf8)
        let response = HTTPResponseWriter(keepsAlive: true)
        #expect(write { response.header("X", value, into: &$0) } == clean)
        #expect(write { unsafe response.header("X", bytes.span.bytes, into: &$0) } == clean)
    }

    @Test func aRefusalSaysWhyAndCloses() {
        let text = write {
            unsafe HTTPResponseWriter.refuse(.missingHost, date: Self.date.span.bytes, into: &$0)
        }
        let message = HTTPError.missingHost.message + "\n"
        #expect(text.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        #expect(text.contains("\r\nConnection: close\r\n"))
        #expect(text.contains("\r\nContent-Length: \(message.utf8.count)\r\n"))
        #expect(text.hasSuffix("\r\n\r\n" + message))
    }
}
