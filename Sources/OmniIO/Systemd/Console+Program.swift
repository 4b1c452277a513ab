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
