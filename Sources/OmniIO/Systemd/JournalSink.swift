internal import CShims.Systemd

/// Where the journal's records go. Chosen once, at start.
enum JournalSink {
    /// journald's native socket: each record a datagram.
    case journald(descriptor: Int32, path: String)
    /// A terminal, pipe or file: each record a line. The descriptor is a re-opened one of our own, so
    /// that it can be non-blocking without the shell next to us noticing; a socket cannot be
    /// re-opened and is asked not to wait at every send.
    case stream(descriptor: Int32, isSocket: Bool)
    /// A test looks at the records.
    case recording
    /// Nobody looks.
    case nowhere

    /// Opens journald when standard error is connected to it, as systemd says in
    /// `JOURNAL_STREAM=device:inode`; otherwise whatever standard error is.
    static func standard(_ environment: Environment) -> JournalSink {
        let path = "/run/systemd/journal/socket"
        if isJournal(environment["JOURNAL_STREAM"], descriptor: STDERR_FILENO) {
            let descriptor = unsafe omni2_datagram_connect(path, path.utf8.count)
            if descriptor >= 0 { return .journald(descriptor: descriptor, path: path) }
        }
        return stream(STDERR_FILENO)
    }

    static func stream(_ descriptor: Int32) -> JournalSink {
        var facts = omni2_file_facts()
        guard unsafe omni2_descriptor_facts(descriptor, &facts) == 0 else { return .nowhere }
        if facts.is_socket != 0 { return .stream(descriptor: descriptor, isSocket: true) }
        let own = omni2_reopen_nonblocking(descriptor)
        return own < 0 ? .nowhere : .stream(descriptor: own, isSocket: false)
    }

    static func journald(path: String) throws(SystemError) -> JournalSink {
        let descriptor = unsafe omni2_datagram_connect(path, path.utf8.count)
        if descriptor < 0 { throw SystemError("connect", descriptor) }
        return .journald(descriptor: descriptor, path: path)
    }

    private static func isJournal(_ stream: String?, descriptor: Int32) -> Bool {
        guard let stream else { return false }
        var facts = omni2_file_facts()
        guard unsafe omni2_descriptor_facts(descriptor, &facts) == 0 else { return false }
        return stream == "\(facts.device):\(facts.inode)"
    }
}
