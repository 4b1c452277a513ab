/// Why a command ended without what was asked for. The message says what to do.
struct Failure: Error, Hashable {
    let message: String
    let exitStatus: Int32

    static func failed(_ message: String) -> Failure {
        Failure(message: message, exitStatus: ExitStatus.failure)
    }

    static func unreachable(_ message: String) -> Failure {
        Failure(message: message, exitStatus: ExitStatus.unreachable)
    }

    static func denied(_ message: String) -> Failure {
        Failure(message: message, exitStatus: ExitStatus.denied)
    }

    static func usage(_ message: String) -> Failure {
        Failure(message: message, exitStatus: ExitStatus.usage)
    }
}

/// Arguments that make no sense; found before anything is done.
struct UsageError: Error, Hashable {
    let message: String
}
