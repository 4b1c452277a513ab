import Glibc
import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// Servers of Tests/servers as children of the test, and an `Upstream` to each.
final class UpstreamFixture {
    let io: RingIO
    let http: HTTPClient
    private var servers: [ChildProcess] = []
    private var upstreams: [Upstream] = []

    static let root: String = {
        // Tests/DaemonTests/Upstream/UpstreamFixture.swift, four steps below.
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(4)
        return parts.joined(separator: "/")
    }()

    /// The environment with the servers of PyPI, where it was made.
    static let realServers: String? = [".build/venv", ".build/venv-upstream"]
        .map { "\(root)/\($0)/bin" }
        .first { unsafe access("\($0)/mcp-server-git", X_OK) == 0 }

    private init(_ io: RingIO) throws {
        self.io = io
        http = try HTTPClient(io: io)
    }

    /// Runs `body`, then closes what it made.
    static func run(_ body: @escaping @Sendable (UpstreamFixture) async throws -> Void) async throws
    {
        _ = signal(SIGPIPE, SIG_IGN)
        try await RingFixture.run { io in
            let fixture = try UpstreamFixture(io)
            var failure: (any Error)?
            do { try await body(fixture) } catch { failure = error }
            for upstream in fixture.upstreams { await upstream.close(until: io.now + .seconds(5)) }
            fixture.http.close()
            for server in fixture.servers { _ = await server.stop(grace: .milliseconds(200)) }
            if let failure { throw failure }
        }
    }

    /// Starts a server that prints its port; returns its origin.
    func serve(
        _ script: String, _ arguments: [String] = [], python: String = "python3"
    ) async throws -> String {
        let port = Promise<String>(io)
        var command = ChildProcess.Command(
            python, ["\(Self.root)/Tests/servers/\(script)"] + arguments)
        command.environment = ["PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"]
        var callbacks = ChildProcess.Callbacks()
        callbacks.line = { port.fulfil(String(decoding: $0, as: UTF8.self)) }
        callbacks.errorLine = { print("server:", String(decoding: $0, as: UTF8.self)) }
        servers.append(try ChildProcess(command, io: io, callbacks: callbacks))
        let text = await port.value(until: io.now + .seconds(90))
        return "http://127.0.0.1:\(try #require(text))"
    }

    /// The servers die without a word.
    func stopServers() async {
        for server in servers {
            server.signal(SIGKILL)
            _ = await server.waitForEnd(until: soon)
        }
        servers.removeAll()
    }

    func upstream(
        _ url: String, transport: String = "http", meta: String = "{}",
        authentication: ServerConfiguration.Authentication = .none,
        deadlines: UpstreamDeadlines = UpstreamDeadlines(),
        eras: UpstreamEras = .handshakeFirst, log: Log? = nil
    ) -> Upstream {
        var configuration = ServerConfiguration(name: "test", url: url)
        configuration.transport = transport
        configuration.metaData = meta
        configuration.authentication = authentication
        let record = ServerRecord(
            id: 1, configuration: configuration, health: ServerHealth(), createdAt: 0, updatedAt: 0)
        let upstream = Upstream(
            record: record, io: io, http: http, deadlines: deadlines,
            environment: ["PATH": "/usr/bin:/bin", "SECRET_OF_OURS": "x"], eras: eras,
            log: log ?? Log(.silent(), service: .gateway))
        upstreams.append(upstream)
        return upstream
    }

    /// A server of Tests/servers as a child of the upstream itself.
    func child(
        _ script: String = "upstream_stdio.py", _ arguments: [String] = [],
        python: String = "python3", deadlines: UpstreamDeadlines = UpstreamDeadlines(),
        eras: UpstreamEras = .handshakeFirst, log: Log? = nil
    ) -> Upstream {
        var json = JSONWriter()
        json.object { json in
            json.memberObject("stdio") { json in
                json.member("command", python)
                json.member("args", ["\(Self.root)/Tests/servers/\(script)"] + arguments)
                json.memberObject("env") { $0.member("GIVEN", "yes") }
            }
        }
        let meta = String(decoding: json.take(), as: UTF8.self)
        return upstream(
            "stdio:", transport: "stdio", meta: meta, deadlines: deadlines, eras: eras, log: log)
    }

    func connected(_ upstream: Upstream) async throws -> Upstream {
        try await upstream.connect(until: soon)
        return upstream
    }

    var soon: MonotonicTime { io.now + .seconds(60) }

    /// What a scripted server has seen.
    func control(_ origin: String) async throws -> JSONValue {
        let response = try await http.send(.init("GET", origin + "/control"), until: soon)
        return try JSONValue(parsing: await response.collect(bytesMax: 16 << 20, until: soon))
    }

    /// The records of one JSON-RPC method, or of one HTTP method.
    func records(_ origin: String, _ method: String) async throws -> [JSONValue] {
        let all = try await control(origin)["records"]?.array ?? []
        return all.filter {
            $0["http"]?.string == method || $0["message"]?["method"]?.string == method
        }
    }

    /// Waits until something becomes true, up to half a minute.
    func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
        for _ in 0..<1500 {
            if try await condition() { return true }
            await io.sleep(until: io.now + .milliseconds(20))
        }
        return false
    }
}

extension Upstream {
    /// A call whose result is read as a tree.
    func call(
        _ tool: String, _ arguments: String = "{}", meta: String? = nil, until: MonotonicTime,
        progress: (([UInt8]) -> Void)? = nil, cancellation: UpstreamCancellation? = nil
    ) async throws -> JSONValue {
        var params = JSONWriter()
        params.object { json in
            json.member("name", tool)
            json.member("arguments", raw: Array(arguments.utf8))
            if let meta { json.member("_meta", raw: Array(meta.utf8)) }
        }
        var request = UpstreamRequest(.callTool, params: params.take())
        let known = catalogue.tools.first { $0.name == tool }
        request.isRepeatable = known?.annotations.saidReadOnly == true
        request.wantsProgress = progress != nil
        request.listener = progress.map { ProgressListener($0) }
        request.cancellation = cancellation
        return try JSONValue(parsing: try await send(request, until: until))
    }
}

/// Hears of progress and can answer nothing.
final class ProgressListener: UpstreamCallListener {
    let asker = "test"
    private let heard: ([UInt8]) -> Void

    init(_ heard: @escaping ([UInt8]) -> Void) { self.heard = heard }

    func progressed(_ params: [UInt8]) { heard(params) }
    func logged(_ params: [UInt8]) {}
    func asked(_ question: UpstreamQuestion) {
        question.answer(.error(code: .methodNotFound, message: "nobody to ask", data: nil))
    }
}

extension JSONValue {
    /// What the scripted servers echo: the params of the call.
    var echoed: JSONValue? {
        guard let text = self["content"]?[0]?["text"]?.string else { return nil }
        return try? JSONValue(parsing: text)
    }
}

/// The error an operation threw, for tests that look into it.
func upstreamError(_ body: () async throws -> Void) async -> UpstreamError? {
    do {
        try await body()
        return nil
    } catch { return error as? UpstreamError }
}
