internal import CShims.Process
internal import CShims.Terminal
internal import Glibc

/// Programs that a person works with while the command waits: a pager, an editor. These calls block.
public enum Foreground {
    /// Runs a program on the terminal to its end; its exit status, 128 and more for a signal.
    ///
    /// - Throws: ENOENT when it is not there.
    public static func run(
        _ words: [String], _ environment: Environment
    ) throws(SystemError) -> Int32 {
        wait(for: try start(words, environment, input: 0))
    }

    /// Shows a text by a pager, whose end is awaited.
    ///
    /// - Throws: ENOENT when it is not there; nothing has been shown then.
    public static func page(
        _ text: String, by words: [String], _ environment: Environment
    ) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        let status = unsafe omni2_pipe(&ends)
        if status != 0 { throw SystemError("pipe2", status) }
        let (reader, writer) = (ends[0], ends[1])
        // Who leaves the pager early wants no more: that is an error of one write.
        Process.ignoreBrokenPipes()
        let process: Int32
        do throws(SystemError) {
            process = try start(words, environment, input: reader)
        } catch {
            close(reader)
            close(writer)
            throw error
        }
        close(reader)
        // An error says that the pager has ended, as it may.
        try? Files.writeAll(Array(text.utf8), to: writer)
        close(writer)
        _ = wait(for: process)
    }

    private static func start(
        _ words: [String], _ environment: Environment, input: Int32
    ) throws(SystemError) -> Int32 {
        let arguments = CStrings(words)
        let variables = CStrings(environment.variables.map { "\($0.key)=\($0.value)" })
        omni2_interrupts_ignored(1)
        let process = unsafe omni2_foreground_start(
            words[0], arguments.pointers, variables.pointers, input)
        // The arrays of pointers must outlive the call above.
        withExtendedLifetime((arguments, variables)) {}
        if process < 0 {
            omni2_interrupts_ignored(0)
            throw SystemError("exec", process)
        }
        return process
    }

    private static func wait(for process: Int32) -> Int32 {
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
        omni2_interrupts_ignored(0)
        // The two halves of what <sys/wait.h> reads by macros.
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
    }
}

extension Process {
    /// What a program that was run said, both streams together, and its exit status.
    public struct Output: Hashable, Sendable {
        public let status: Int32
        public let text: String
    }

    /// Runs a program that says little and ends soon. Blocks; beyond `bytesMax` its words are cut.
    public static func output(
        of program: String, _ arguments: [String], _ environment: Environment,
        bytesMax: Int = 1 << 20
    ) throws(SystemError) -> Output {
        var ends: [Int32] = [0, 0]
        let made = unsafe omni2_pipe(&ends)
        if made != 0 { throw SystemError("pipe2", made) }
        let (reader, writer) = (ends[0], ends[1])
        var isWriterClosed = false
        defer { close(reader) }
        var command = ChildProcess.Command(program, arguments)
        command.environment = environment.variables
        let input = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(input) }
        defer { if !isWriterClosed { close(writer) } }
        let process = try ChildStart(command).start(input: input, output: writer, error: writer)
        // Our own copy would keep the end from coming.
        close(writer)
        isWriterClosed = true
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = unsafe Glibc.read(reader, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            bytes += chunk.prefix(min(count, bytesMax - bytes.count))
        }
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
        return Output(
            status: status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F,
            text: String(decoding: bytes, as: UTF8.self))
    }
}
