internal import CShims.Linux
internal import CShims.Process
internal import Glibc

/// Turns a command into what the kernel wants: a path that exists, and C strings.
struct ChildStart {
    private let command: ChildProcess.Command

    init(_ command: ChildProcess.Command) { self.command = command }

    /// The process id. The child's ends of the pipes stay open here; the caller lets them go.
    func start(_ pipes: borrowing ChildPipes) throws(SystemError) -> Int32 {
        try start(
            input: pipes.input.reader.raw, output: pipes.output.writer.raw,
            error: pipes.error.writer.raw)
    }

    func start(input: Int32, output: Int32, error: Int32) throws(SystemError) -> Int32 {
        let path = try findProgram()
        let variables = command.environment.map { "\($0.key)=\($0.value)" }
        let arguments = CStrings([command.program] + command.arguments)
        let environment = CStrings(variables)
        var child = unsafe omni2_child()
        unsafe child.arguments = unsafe UnsafePointer(arguments.pointers)
        unsafe child.environment = unsafe UnsafePointer(environment.pointers)
        unsafe child.input = input
        unsafe child.output = output
        unsafe child.error = error
        let process = unsafe path.withCString { path in
            unsafe child.path = unsafe path
            guard let directory = command.directory else { return unsafe omni2_child_start(&child) }
            return unsafe directory.withCString { directory in
                unsafe child.directory = unsafe directory
                return unsafe omni2_child_start(&child)
            }
        }
        // The arrays of pointers must outlive the call above.
        withExtendedLifetime((arguments, environment)) {}
        if process < 0 { throw SystemError("exec", process) }
        return process
    }

    private func findProgram() throws(SystemError) -> String {
        if command.program.contains("/") { return command.program }
        let path = command.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        var code = ENOENT
        for folder in path.split(separator: ":") {
            let candidate = "\(folder)/\(command.program)"
            if unsafe access(candidate, X_OK) == 0 { return candidate }
            if errno == EACCES { code = EACCES }
        }
        throw SystemError("exec", code)
    }
}

/// A null-terminated array of C strings. `@safe`: the memory is private and lives with the object.
@safe
final class CStrings {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ texts: [String]) {
        count = texts.count
        unsafe pointers = .allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() { unsafe pointers[index] = unsafe strdup(text) }
        unsafe pointers[texts.count] = nil
    }

    deinit {
        for index in 0..<count { unsafe free(pointers[index]) }
        unsafe pointers.deallocate()
    }
}
