internal import CShims.Linux
internal import Glibc

extension Console {
    /// Standard output leads to a person.
    public static var isOutputTerminal: Bool { isatty(1) == 1 }
}

extension Process {
    /// The process goes on as another program; it returns only when that could not be started.
    public static func become(_ program: String, _ arguments: [String]) -> SystemError {
        // Freed by nobody: the program that takes over, or the end of this one, does it.
        var words: [UnsafeMutablePointer<CChar>?] = unsafe ([program] + arguments).map {
            unsafe strdup($0)
        }
        unsafe words.append(nil)
        _ = unsafe execv(program, words)
        return SystemError("execv", errno)
    }
}

extension Process {
    /// Runs a program to its end, its words on our standard error, and returns its exit status; 128
    /// and more where a signal ended it. Blocks.
    public static func run(
        _ program: String, _ arguments: [String], _ environment: Environment
    ) throws(SystemError) -> Int32 {
        var command = ChildProcess.Command(program, arguments)
        command.environment = environment.variables
        let process = try ChildStart(command).start(input: 0, output: 2, error: 2)
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
        // The two halves of what <sys/wait.h> reads by macros.
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
    }
}
