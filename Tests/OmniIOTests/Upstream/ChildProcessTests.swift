import Glibc
import OmniCore
import OmniIO
import Testing

@Suite("ChildProcess")
struct ChildProcessTests {
    /// What a child said, and a promise for each thing a test waits for.
    private final class Notes {
        let io: RingIO
        var lines: [String] = []
        var errorLines: [String] = []
        var tooLong: [[UInt8]] = []
        var endings: [ChildProcess.Ending] = []
        private var arrival: Promise<Bool>

        init(_ io: RingIO) {
            self.io = io
            arrival = Promise(io)
        }

        func note() {
            let waiting = arrival
            arrival = Promise(io)
            waiting.fulfil(true)
        }

        func wait(_ condition: () -> Bool) async -> Bool {
            while !condition() {
                if await arrival.value(until: io.now + .seconds(10)) == nil { return false }
            }
            return true
        }
    }

    private func start(
        _ script: String, _ notes: Notes, _ limits: ChildProcess.Limits = .init(),
        environment: [String: String] = [:], directory: String? = nil
    ) throws -> ChildProcess {
        _ = signal(SIGPIPE, SIG_IGN)
        var command = ChildProcess.Command("sh", ["-c", script])
        command.environment = environment
        command.directory = directory
        var callbacks = ChildProcess.Callbacks()
        callbacks.line = {
            notes.lines.append(String(decoding: $0, as: UTF8.self))
            notes.note()
        }
        callbacks.errorLine = {
            notes.errorLines.append(String(decoding: $0, as: UTF8.self))
            notes.note()
        }
        callbacks.lineTooLong = {
            notes.tooLong.append($0)
            notes.note()
        }
        callbacks.ended = {
            notes.endings.append($0)
            notes.note()
        }
        return try ChildProcess(command, io: notes.io, limits: limits, callbacks: callbacks)
    }

    @Test func linesGoInAndComeBack() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            let child = try start("echo ready >&2; exec cat", notes)
            try child.send(Array("one\ntwo\r\n\nthr".utf8))
            try child.send(Array("ee\n".utf8))
            #expect(await notes.wait { notes.lines.count == 3 && !notes.errorLines.isEmpty })
            #expect(notes.lines == ["one", "two", "three"])
            #expect(notes.errorLines == ["ready"])
            #expect(await child.stop(grace: .seconds(5)) == .exited(code: 0))
            #expect(notes.endings == [.exited(code: 0)])
            #expect(throws: ChildProcess.Failure.inputClosed) { try child.send([10]) }
        }
    }

    @Test func environmentAndDirectoryAreTheOnesGiven() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            let child = try start(
                "pwd; env | sort | grep -v -e ^OMNI2_CHILD= -e ^PWD= -e ^_= -e ^OLDPWD= -e ^SHLVL=; ls /proc/self/fd | wc -l",
                notes,
                environment: ["NAME": "value", "PATH": "/usr/bin:/bin"], directory: "/proc")
            #expect(await notes.wait { !notes.endings.isEmpty })
            // Standard streams, and the one with which ls reads the folder.
            #expect(notes.lines == ["/proc", "NAME=value", "PATH=/usr/bin:/bin", "4"])
            _ = child.process
        }
    }

    @Test func aProgramThatIsMissingOrNotExecutableSaysSo() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            func failure(_ program: String, directory: String? = nil) -> SystemError? {
                var command = ChildProcess.Command(program)
                command.directory = directory
                do throws(SystemError) {
                    _ = try ChildProcess(command, io: io, callbacks: .init())
                    return nil
                } catch { return error }
            }
            #expect(failure("no-such-program-anywhere")?.code == ENOENT)
            #expect(failure("/no/such/program")?.code == ENOENT)
            #expect(failure("/etc/passwd")?.code == EACCES)
            #expect(failure("sh", directory: "/no/such/folder")?.code == ENOENT)
            #expect(notes.lines.isEmpty)
        }
    }

    @Test func exitCodesAndSignalsAreTold() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            let first = try start("exit 3", notes)
            #expect(await first.waitForEnd(until: io.now + .seconds(5)) == .exited(code: 3))
            let second = try start("kill -9 $$", notes)
            #expect(await second.waitForEnd(until: io.now + .seconds(5)) == .signalled(number: 9))
            #expect(notes.endings.count == 2)
        }
    }

    @Test func lastWordsAreHeardBeforeTheEnd() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            let child = try start("seq 1 5000; printf unfinished", notes)
            #expect(await child.waitForEnd(until: io.now + .seconds(5)) == .exited(code: 0))
            #expect(notes.lines.count == 5001)
            #expect(notes.lines.last == "unfinished")
        }
    }

    @Test func aLineOverTheLimitIsLeftOutAndReported() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            var limits = ChildProcess.Limits()
            limits.lineBytesMax = 1000
            limits.errorLineBytesMax = 20
            let child = try start(
                """
                echo before; printf '{"id":7,'; head -c 200000 /dev/zero | tr '\\0' x; echo; echo after
                echo 12345678901234567890123456789 >&2; sleep 60
                """, notes, limits)
            #expect(await notes.wait { notes.lines.count == 2 && notes.errorLines.count == 1 })
            #expect(notes.lines == ["before", "after"])
            #expect(notes.tooLong.count == 1)
            #expect(notes.tooLong[0].starts(with: Array("{\"id\":7,x".utf8)))
            #expect(notes.errorLines[0].hasPrefix("1234567890"))
            _ = await child.stop(grace: .milliseconds(50))
        }
    }

    @Test func aChildThatIgnoresEverythingPoliteIsKilled() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            let child = try start("trap '' TERM; echo up; while :; do sleep 0.05; done", notes)
            #expect(await notes.wait { notes.lines == ["up"] })
            #expect(await child.stop(grace: .milliseconds(100)) == .signalled(number: SIGKILL))
        }
    }

    @Test func aChildThatIgnoresItsInputEndsBySIGTERM() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            let child = try start("echo up; exec sleep 1000", notes)
            #expect(await notes.wait { notes.lines == ["up"] })
            #expect(await child.stop(grace: .milliseconds(100)) == .signalled(number: SIGTERM))
        }
    }

    @Test func grandchildrenGoWithTheGroup() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            let script = "sleep 1000 & echo $!; (trap '' TERM HUP; sleep 1000) & echo $!; "
            // First: the child is stopped. Second: it ends by itself and leaves them behind.
            let stopped = try start(script + "wait", notes)
            #expect(await notes.wait { notes.lines.count == 2 })
            _ = await stopped.stop(grace: .milliseconds(50))
            let left = try start(script + "exit 0", notes)
            #expect(await left.waitForEnd(until: io.now + .seconds(5)) == .exited(code: 0))
            #expect(notes.lines.count == 4)
            for process in notes.lines.compactMap({ Int32($0) }) {
                #expect(await isGone(process, io))
            }
        }
    }

    @Test func whatLeftTheGroupIsFoundAllTheSame() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            // A session of its own, a parent that is gone, and standard streams of its own.
            let daemon = "setsid sh -c 'echo $$; exec sleep 1000 </dev/null >/dev/null 2>&1' & "
            let child = try start("(\(daemon)) ; exec cat", notes)
            #expect(await notes.wait { notes.lines.count == 1 })
            #expect(await child.stop(grace: .seconds(5)) == .exited(code: 0))
            let process = try #require(Int32(notes.lines[0]))
            #expect(await isGone(process, io))
        }
    }

    /// Killed processes that nobody of ours reaps may stay zombies for a moment.
    private func isGone(_ process: Int32, _ io: RingIO) async -> Bool {
        for _ in 0..<200 {
            if kill(process, 0) != 0 || isZombie(process) { return true }
            await io.sleep(until: io.now + .milliseconds(10))
        }
        return false
    }

    private func isZombie(_ process: Int32) -> Bool {
        guard let file = unsafe fopen("/proc/\(process)/stat", "r") else { return true }
        defer { unsafe fclose(file) }
        var text = [UInt8](repeating: 0, count: 256)
        let count = unsafe fread(&text, 1, 256, file)
        return String(decoding: text.prefix(count), as: UTF8.self).contains(") Z ")
    }

    @Test func aChildThatDoesNotReadFillsABoundedBacklog() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            var limits = ChildProcess.Limits()
            limits.inputBytesMax = 300_000
            let child = try start(
                "read line; echo $line; head -c 250000 | wc -c; cat >/dev/null", notes, limits)
            try child.send(Array("first\n".utf8))
            #expect(await notes.wait { notes.lines == ["first"] })
            child.signal(SIGSTOP)
            let block = [UInt8](repeating: 0x61, count: 250_000)
            try child.send(block)
            #expect(throws: ChildProcess.Failure.inputBacklog(bytesMax: 300_000)) {
                try child.send(block)
            }
            child.signal(SIGCONT)
            #expect(await notes.wait { notes.lines == ["first", "250000"] })
            #expect(await child.stop(grace: .seconds(5)) == .exited(code: 0))
        }
    }

    @Test func noDescriptorIsLeftBehind() async throws {
        try await RingFixture.run { io in
            let notes = Notes(io)
            for _ in 0..<3 { _ = await (try start("exit 0", notes)).stop(grace: .seconds(5)) }
            // Other suites run at the same time; but a leak of six each would show in every round.
            var leaked: [Int] = []
            for _ in 0..<5 {
                let before = Self.descriptors()
                for _ in 0..<20 { _ = await (try start("exit 0", notes)).stop(grace: .seconds(5)) }
                leaked.append(Self.descriptors() - before)
            }
            #expect(try #require(leaked.min()) < 60)
        }
    }

    private static func descriptors() -> Int {
        guard let folder = unsafe opendir("/proc/self/fd") else { return 0 }
        defer { unsafe closedir(folder) }
        var count = 0
        while unsafe readdir(folder) != nil { count += 1 }
        return count
    }
}
