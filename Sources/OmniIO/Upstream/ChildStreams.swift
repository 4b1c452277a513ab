internal import CShims.Linux
internal import CShims.Process
internal import Glibc
internal import OmniCore

/// The three pipes before the child has them: ours and the child's ends.
struct ChildPipes: ~Copyable {
    var input: Pipe
    var output: Pipe
    var error: Pipe

    struct Pipe: ~Copyable {
        let reader: Descriptor
        let writer: Descriptor

        init() throws(SystemError) {
            var ends: [Int32] = [-1, -1]
            let status = unsafe omni2_pipe(&ends)
            if status < 0 { throw SystemError("pipe2", status) }
            let first = Descriptor(ends[0])
            let second = Descriptor(ends[1])
            let reader = try Self.beyondStandard(first)
            let writer = try Self.beyondStandard(second)
            self.reader = reader
            self.writer = writer
        }

        /// A daemon may run with its own standard streams closed; then a pipe would take their
        /// numbers, and putting the ends in place for the child would overwrite one another.
        private static func beyondStandard(
            _ descriptor: consuming Descriptor
        ) throws(SystemError) -> Descriptor {
            if descriptor.raw > 2 { return descriptor }
            let copy = fcntl(descriptor.raw, F_DUPFD_CLOEXEC, 3)
            if copy < 0 { throw SystemError("fcntl", errno) }
            return Descriptor(copy)
        }
    }

    init() throws(SystemError) {
        let input = try Pipe()
        let output = try Pipe()
        let error = try Pipe()
        for descriptor in [input.writer.raw, output.reader.raw, error.reader.raw] {
            guard fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else {
                throw SystemError("fcntl", errno)
            }
        }
        self.input = input
        self.output = output
        self.error = error
    }
}

/// Our ends of a child's pipes: cuts what it says into lines, keeps what it has not read.
final class ChildStreams {
    enum Flush { case done, blocked, closed }

    /// Read in one turn, so that a talkative child cannot hold the ring.
    private static let bytesPerTurn = 256 << 10
    private static let chunkBytes = 64 << 10

    private let outputEnd: Descriptor
    private let errorEnd: Descriptor
    private var inputEnd: Int32
    private var outputLines: LineReader
    private var errorLines: LineReader
    private var pending: [UInt8] = []
    private var written = 0
    var closesInputWhenFlushed = false

    /// Takes our ends and lets the child's go.
    init(_ pipes: consuming ChildPipes, limits: ChildProcess.Limits) {
        inputEnd = pipes.input.writer.take()
        outputEnd = pipes.output.reader
        errorEnd = pipes.error.reader
        outputLines = LineReader(lineBytesMax: limits.lineBytesMax)
        errorLines = LineReader(lineBytesMax: limits.errorLineBytesMax)
    }

    deinit { closeInput() }

    var input: Int32 { inputEnd }
    var output: Int32 { outputEnd.raw }
    var error: Int32 { errorEnd.raw }
    var isInputOpen: Bool { inputEnd >= 0 && !closesInputWhenFlushed }
    var backlogBytes: Int { pending.count - written }

    func queue(_ bytes: [UInt8]) {
        if written > 0 {
            pending.removeFirst(written)
            written = 0
        }
        pending.append(contentsOf: bytes)
    }

    func flush() -> Flush {
        while inputEnd >= 0, written < pending.count {
            let count = unsafe pending.withUnsafeBytes { bytes in
                unsafe write(inputEnd, bytes.baseAddress! + written, bytes.count - written)
            }
            if count >= 0 {
                written += count
            } else if errno == EAGAIN {
                return .blocked
            } else if errno != EINTR {
                // EPIPE: it has closed its input. Its end, if that is one, is reported by itself.
                closeInput()
            }
        }
        pending.removeAll(keepingCapacity: pending.capacity < 1 << 20)
        written = 0
        if closesInputWhenFlushed { closeInput() }
        return inputEnd < 0 ? .closed : .done
    }

    func closeInput() {
        if inputEnd >= 0 { close(inputEnd) }
        inputEnd = -1
    }

    /// False at the end of the stream.
    func readOutput(_ body: (LineReader.Item) -> Void) -> Bool {
        Self.read(outputEnd.raw, into: &outputLines, body)
    }

    func readError(_ body: (LineReader.Item) -> Void) -> Bool {
        Self.read(errorEnd.raw, into: &errorLines, body)
    }

    private static func read(
        _ descriptor: Int32, into lines: inout LineReader, _ body: (LineReader.Item) -> Void
    ) -> Bool {
        unsafe withUnsafeTemporaryAllocation(byteCount: chunkBytes, alignment: 1) { chunk in
            var budget = bytesPerTurn
            while budget > 0 {
                let count = unsafe Glibc.read(descriptor, chunk.baseAddress, chunk.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    // EAGAIN: nothing more now. Anything else cannot happen to a pipe of ours.
                    return errno == EAGAIN
                }
                if count == 0 {
                    lines.ended(body)
                    return false
                }
                unsafe lines.received(UnsafeRawBufferPointer(rebasing: chunk[..<count]), body)
                budget -= count
            }
            return true
        }
    }
}
