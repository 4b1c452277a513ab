internal import CShims.Linux
internal import Glibc

/// The process itself: its signals, its identity, its end.
public enum Process {
    public enum Signal: Int32, Sendable {
        case hangUp = 1
        case interrupt = 2
        case terminate = 15
    }

    public static func exit(_ status: Int32) -> Never { Glibc.exit(status) }

    /// A peer that left is an error of one send, not the end of the process.
    public static func ignoreBrokenPipes() { omni2_ignore_sigpipe() }

    /// The processors that this process may run on, at least one.
    public static var processorCount: Int { max(1, Int(omni2_processor_count())) }
    /// Free heap goes back to the kernel.
    public static func trimHeap() { omni2_trim_heap() }

    /// The path of the running program; nil where `/proc` does not tell.
    public static var executable: String? {
        var path = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink("/proc/self/exe", &path, path.count)
        guard count > 0, count < path.count else { return nil }
        return String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public static var id: Int32 { getpid() }
    public static var user: UInt32 { geteuid() }

    /// Gives the kernel back what only the start needed. Takes a millisecond; call it once.
    public static func releaseMemory() { omni2_release_memory() }

    /// Blocks the signals and returns a descriptor on which they arrive. Call it before there are
    /// other threads, which inherit the block.
    public static func signalDescriptor(
        _ signals: [Signal]
    ) throws(SystemError) -> Descriptor {
        let numbers = signals.map(\.rawValue)
        let descriptor = unsafe omni2_signal_descriptor(numbers, Int32(numbers.count))
        if descriptor < 0 { throw SystemError("signalfd", descriptor) }
        return Descriptor(descriptor)
    }

    /// The number of the next signal that arrived, 0 when there is none.
    public static func nextSignal(_ descriptor: Int32) -> Signal? {
        var record = [UInt8](repeating: 0, count: 128)
        // struct signalfd_siginfo begins with the signal's number, 32 bits.
        let count = unsafe read(descriptor, &record, record.count)
        guard count == record.count else { return nil }
        let number = UInt32(record[0]) | UInt32(record[1]) << 8
        return Signal(rawValue: Int32(number))
    }
}

/// Text for the person at the terminal, before there is a journal.
public enum Console {
    public static func print(_ text: String) { write(text, to: 1) }
    public static func error(_ text: String) { write(text, to: 2) }

    /// Standard error leads to a person.
    public static var isTerminal: Bool { isatty(2) == 1 }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            // Nobody listens: then there is nobody to tell.
            if count <= 0 && errno != EINTR { return }
            bytes = bytes.dropFirst(max(0, count))
        }
    }
}
