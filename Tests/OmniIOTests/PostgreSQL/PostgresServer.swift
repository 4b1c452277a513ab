import Glibc
import OmniCore
import OmniIO
import Synchronization

/// A PostgreSQL server of the test's own: fresh data in a temporary folder, a free port on loopback,
/// a Unix socket. A watcher ends it and removes the folder when the test's process is gone, however
/// it went.
final class PostgresServer: Sendable {
    /// For tests that do not stop it; each takes a database of its own.
    static let shared = Result { try PostgresServer() }

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// Debian's place; the newest version there is.
    private static let binaries =
        (13...30).reversed().map { "/usr/lib/postgresql/\($0)/bin" }
        .first { unsafe access($0 + "/initdb", X_OK) == 0 }
    /// Data made once, copied for each server: making it takes a second of processor time.
    private static let template = Result { try makeTemplate() }
    private static let databases = Atomic<Int>(0)

    let folder: String
    let port: UInt16
    private let binaries: String
    private let isTLS: Bool
    private let watcher: Int32

    /// With `tls` it has a certificate for `localhost`, signed by itself, in `certificate`.
    init(tls: Bool = false) throws {
        binaries = try Self.installed()
        folder = Self.freshFolder()
        port = try Self.freePort()
        isTLS = tls
        let template = try Self.template.get()
        watcher = try Self.startWatcher(folder, binaries)
        try Self.run(["mkdir", "-m", "777", folder])
        try Self.run(["cp", "-a", template.folder, folder + "/data"])
        try Self.run([
            "sed", "-i", "1i host all ada_asked all scram-sha-256", folder + "/data/pg_hba.conf",
        ])
        if tls { try makeCertificate() }
        try start()
    }

    private static func installed() throws -> String {
        guard let binaries else {
            throw Failure(description: "PostgreSQL is not installed: apt-get install postgresql")
        }
        return binaries
    }

    private static func freshFolder() -> String {
        "/tmp/omni2-postgresql-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    }

    private static func makeTemplate() throws -> (folder: String, watcher: Int32) {
        let binaries = try installed()
        let folder = freshFolder()
        let watcher = try startWatcher(folder, binaries)
        try runAsServer([
            binaries + "/initdb", "-D", folder, "-U", "omni", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        ])
        return (folder, watcher)
    }

    var certificate: String { folder + "/certificate.pem" }

    private func makeCertificate() throws {
        let key = folder + "/key.pem"
        try Self.runAsServer([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate,
        ])
    }

    deinit { close(watcher) }

    /// Blocks until it answers.
    func start() throws {
        let options =
            "-p \(port) -k \(folder) -c listen_addresses=127.0.0.1 -c fsync=off "
            + "-c max_connections=60"
            + (isTLS
                ? " -c ssl=on -c ssl_cert_file=\(certificate) -c ssl_key_file=\(folder)/key.pem"
                : "")
        try Self.runAsServer([
            binaries + "/pg_ctl", "-D", folder + "/data", "-l", folder + "/log", "-w", "-o",
            options, "start",
        ])
    }

    /// Blocks until it is gone.
    func stop() throws {
        try Self.runAsServer([
            binaries + "/pg_ctl", "-D", folder + "/data", "-m", "fast", "-w", "stop",
        ])
    }

    /// Stops every process of the server where it is: connections stay, and nobody answers.
    func freeze() throws -> Frozen {
        let backends = try sql("SELECT pid FROM pg_stat_activity", database: "postgres")
        let file = try Self.run(["head", "-1", folder + "/data/postmaster.pid"])
        let processes = (backends + "\n" + file).split(separator: "\n").compactMap { pid_t($0) }
        for process in processes { kill(process, SIGSTOP) }
        return Frozen(processes: processes)
    }

    struct Frozen {
        let processes: [pid_t]
        func thaw() { for process in processes { kill(process, SIGCONT) } }
    }

    /// Over the Unix socket.
    func url(_ database: String) -> String {
        "postgresql:///\(database)?host=\(folder)&port=\(port)&user=omni"
    }

    /// Over loopback, by name.
    func networkURL(_ database: String) -> String {
        "postgresql://omni@localhost:\(port)/\(database)"
    }

    /// A new, empty database.
    func makeDatabase() throws -> String {
        let number = Self.databases.wrappingAdd(1, ordering: .relaxed).newValue
        let name = "test_\(number)"
        try sql("CREATE DATABASE \(name)", database: "postgres")
        return name
    }

    /// What psql prints, without frills.
    @discardableResult
    func sql(_ text: String, database: String) throws -> String {
        try Self.run([
            binaries + "/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
            "-d", url(database), "-c", text,
        ])
    }

    // MARK: Processes

    private static func freePort() throws -> UInt16 {
        let probe = try Sockets.listen(on: SocketAddress("127.0.0.1:0")!)
        guard let port = Sockets.localAddress(of: probe.raw)?.port else {
            throw Failure(description: "no free port")
        }
        return port
    }

    /// Waits for the end of its input, which comes when this process ends.
    private static func startWatcher(_ folder: String, _ binaries: String) throws -> Int32 {
        var pair: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, type, 0, &pair) == 0 else {
            throw SystemError("socketpair", errno)
        }
        defer { close(pair[0]) }
        let end =
            "read line; "
            + asServer([binaries + "/pg_ctl", "-D", folder + "/data", "-m", "immediate", "stop"])
            .joined(separator: " ") + "; rm -rf \(folder)"
        // The watcher is nobody's child: swift-testing's exit tests wait for any child of this process
        // and would look at a dead one of ours for ever.
        let detached = "exec 3<&0; { exec <&3 3<&-; \(end); } &"
        let shell = try spawn(["/bin/sh", "-c", detached], input: pair[0], output: nil)
        var status: Int32 = 0
        while unsafe waitpid(shell, &status, 0) < 0 && errno == EINTR {}
        return pair[1]
    }

    /// The server refuses to run as root.
    private static func asServer(_ arguments: [String]) -> [String] {
        guard getuid() == 0 else { return arguments }
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + arguments
    }

    private static func runAsServer(_ arguments: [String]) throws { try run(asServer(arguments)) }

    @discardableResult
    private static func run(_ arguments: [String]) throws -> String {
        // A file, not a pipe: a server started on the way would hold a pipe open.
        let path = "/tmp/omni2-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        let output = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(0o600))
        guard output >= 0 else { throw SystemError("open", errno) }
        unsafe unlink(path)
        defer { close(output) }
        let process = try spawn(arguments, input: nil, output: output)
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe pread(output, &bytes, bytes.count, 0)
        var text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        while text.last == "\n" { text.removeLast() }
        guard status == 0 else { throw Failure(description: "\(arguments[0]): \(text)") }
        return text
    }

    private static func spawn(
        _ arguments: [String], input: Int32?, output: Int32?
    ) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        if let input {
            unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        if let output {
            unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
            unsafe posix_spawn_file_actions_adddup2(&actions, output, 2)
        } else {
            unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
            unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
        }
        var list = unsafe arguments.map { unsafe strdup($0) }
        unsafe list.append(nil)
        defer { for index in unsafe list.indices { unsafe free(list[index]) } }
        var process: pid_t = 0
        let status = unsafe posix_spawnp(&process, arguments[0], &actions, nil, &list, environ)
        guard status == 0 else { throw SystemError("posix_spawnp", status) }
        return process
    }
}
