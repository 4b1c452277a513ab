import Glibc
import OmniCore
import OmniIO
import Testing

/// TLS and HTTP/2 as libcurl does them, against `openssl s_server`.
@Suite("HTTPClient over TLS")
struct HTTPClientTLSTests {
    /// A server with a certificate of its own making; its children and files are gone afterwards.
    private func run(
        _ serverArguments: [String] = [],
        _ body: @escaping @Sendable (HTTPClient, TLSPlace, RingIO) async throws -> Void
    ) async throws {
        _ = signal(SIGPIPE, SIG_IGN)
        try await RingFixture.run { io in
            let place = try await TLSPlace(io, serverArguments)
            let client = try HTTPClient(io: io)
            var failure: (any Error)?
            do { try await body(client, place, io) } catch { failure = error }
            client.close()
            await place.remove()
            if let failure { throw failure }
        }
    }

    @Test func anUnknownAuthorityIsRefusedAndAKnownOneTrusted() async throws {
        try await run { client, place, io in
            var request = HTTPClientRequest("GET", place.url)
            do {
                _ = try await client.send(request, until: io.now + .seconds(10))
                Issue.record("an unknown authority was trusted")
            } catch {
                guard case .tlsFailed? = error as? HTTPClientError else {
                    Issue.record("\(error)")
                    return
                }
            }
            request.options.authorityFile = place.certificate
            let response = try await client.send(request, until: io.now + .seconds(10))
            #expect(response.status == 200)
            let body = try await response.collect(bytesMax: 1 << 20, until: io.now + .seconds(10))
            #expect(String(decoding: body, as: UTF8.self).contains("s_server"))
        }
    }

    @Test func ourCertificateIsShownWhereOneIsAskedFor() async throws {
        try await run(["-Verify", "1", "-verify_return_error"]) { client, place, io in
            var request = HTTPClientRequest("GET", place.url)
            request.options.authorityFile = place.certificate
            do {
                let response = try await client.send(request, until: io.now + .seconds(10))
                _ = try await response.collect(bytesMax: 1 << 20, until: io.now + .seconds(10))
                Issue.record("came in without a certificate")
            } catch {
                #expect(error is HTTPClientError)
            }
            request.options.certificateFile = place.certificate
            request.options.keyFile = place.key
            let response = try await client.send(request, until: io.now + .seconds(10))
            #expect(response.status == 200)
        }
    }
}

private final class TLSPlace {
    let folder: String
    private let io: RingIO
    private var server: ChildProcess?
    private(set) var url = ""
    var certificate: String { folder + "/certificate.pem" }
    var key: String { folder + "/key.pem" }

    init(_ io: RingIO, _ serverArguments: [String]) async throws {
        self.io = io
        var template = Array("/tmp/omni2-tls-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw SystemError("mkdtemp", errno) }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        let maker = try start(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout", key, "-out", certificate, "-days", "1",
            ] + subject
        ) { _ in }
        guard await maker.waitForEnd(until: io.now + .seconds(20)) == .exited(code: 0) else {
            throw SystemError("openssl", EIO)
        }
        let port = Promise<String>(io)
        server = try start(
            [
                "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-www",
                "-CAfile", certificate,
            ] + serverArguments
        ) { line in
            if line.hasPrefix("ACCEPT ") {
                port.fulfil(String(line.drop { $0 != ":" }.dropFirst()))
            }
        }
        url = "https://127.0.0.1:\(await port.value(until: io.now + .seconds(20)) ?? "1")/"
    }

    private func start(
        _ arguments: [String], _ line: @escaping (String) -> Void
    ) throws -> ChildProcess {
        var callbacks = ChildProcess.Callbacks()
        callbacks.line = { line(String(decoding: $0, as: UTF8.self)) }
        return try ChildProcess(
            ChildProcess.Command("openssl", arguments), io: io, callbacks: callbacks)
    }

    func remove() async {
        _ = await server?.stop(grace: .milliseconds(100))
        for file in [certificate, key, folder] { _ = unsafe Glibc.remove(file) }
    }
}
