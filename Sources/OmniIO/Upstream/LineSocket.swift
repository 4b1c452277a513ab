internal import Glibc
public import OmniCore

/// A program we talk to by lines over a Unix stream socket: it runs elsewhere, as a unit of systemd's,
/// and has the other end as its standard input and output.
///
/// One task reads, another writes while there is something to write; both end with the connection.
/// Call `close` before letting go: until the connection has ended its task keeps this object alive.
public final class LineSocket {
    public struct Limits: Sendable {
        /// Longer lines are left out and reported.
        public var lineBytesMax = 64 << 20
        /// What the program has not read yet; beyond it `send` throws.
        public var pendingBytesMax = 64 << 20
        public init() {}
    }

    public enum Failure: Error, Sendable, Equatable {
        /// We have closed our direction, or it has ended.
        case closed
        /// It does not read what it is sent.
        case backlog(bytesMax: Int)
    }

    /// What it says, called on the ring.
    public struct Callbacks {
        public var line: ([UInt8]) -> Void = { _ in }
        /// A line was too long; its first bytes.
        public var lineTooLong: ([UInt8]) -> Void = { _ in }
        /// Nothing more will come. Called once, after all lines.
        public var ended: () -> Void = {}
        public init() {}
    }

    private static let chunkBytes = 64 << 10

    private let io: any IO
    private let socket: Descriptor
    private let limits: Limits
    private var callbacks: Callbacks
    private var lines: LineReader
    private var pending: [UInt8] = []
    /// With those that are being written.
    private var pendingBytes = 0
    private var isWriting = false
    private var isOpen = true
    private let ending: Promise<Void>

    /// - Throws: ENOENT where nothing listens, ECONNREFUSED where nothing does any more, EACCES, and
    ///   ETIMEDOUT when its backlog is full until the deadline.
    public static func connect(
        _ path: String, io: any IO, until deadline: MonotonicTime, limits: Limits = Limits(),
        callbacks: Callbacks
    ) async throws(SystemError) -> LineSocket {
        guard path.hasPrefix("/"), let address = SocketAddress(path) else {
            throw SystemError("connect", ENAMETOOLONG)
        }
        let socket = try Sockets.stream(for: address)
        try await io.connect(socket.raw, to: address, until: deadline)
        return LineSocket(socket, io: io, limits: limits, callbacks: callbacks)
    }

    private init(
        _ socket: consuming Descriptor, io: any IO, limits: Limits, callbacks: Callbacks
    ) {
        self.socket = socket
        self.io = io
        self.limits = limits
        self.callbacks = callbacks
        lines = LineReader(lineBytesMax: limits.lineBytesMax)
        ending = Promise<Void>(io)
        io.spawn { await self.readAll() }
    }

    // MARK: Talking

    public func send(_ bytes: [UInt8]) throws(Failure) {
        guard isOpen, !ending.isFulfilled else { throw .closed }
        guard pendingBytes + bytes.count <= limits.pendingBytesMax else {
            throw .backlog(bytesMax: limits.pendingBytesMax)
        }
        pending.append(contentsOf: bytes)
        pendingBytes += bytes.count
        flush()
    }

    /// Ends our direction once everything queued is written: the polite request to end.
    public func closeOutput() {
        isOpen = false
        flush()
    }

    /// False when it has not ended at the deadline.
    public func waitForEnd(until deadline: MonotonicTime) async -> Bool {
        await ending.value(until: deadline) != nil
    }

    /// Ends both directions at once. Nothing is called back any more.
    public func close() {
        isOpen = false
        callbacks = Callbacks()
        // The reader finds the end and finishes; with it the descriptor goes.
        Sockets.shutdown(socket.raw)
    }

    private func flush() {
        guard !isWriting else { return }
        isWriting = true
        io.spawn { await self.writeAll() }
    }

    private func writeAll() async {
        while !pending.isEmpty {
            let bytes = UnsafeMutableRawBufferPointer.allocate(
                byteCount: pending.count, alignment: 1)
            unsafe bytes.copyBytes(from: pending)
            pending.removeAll()
            let isWritten = unsafe await write(UnsafeRawBufferPointer(bytes))
            unsafe bytes.deallocate()
            guard isWritten else { break }
        }
        isWriting = false
        if !isOpen { Sockets.shutdownWriting(socket.raw) }
    }

    /// False when the peer takes no more: its end is found by the reader.
    private func write(_ bytes: UnsafeRawBufferPointer) async -> Bool {
        var rest = unsafe bytes
        while unsafe !rest.isEmpty {
            do throws(SystemError) {
                let count = try unsafe await io.send(on: socket.raw, rest, until: .distantFuture)
                pendingBytes -= count
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } catch {
                return false
            }
        }
        return true
    }

    // MARK: Listening

    private func readAll() async {
        let chunk = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.chunkBytes, alignment: 1)
        while let count = unsafe await read(into: chunk), count > 0 {
            unsafe lines.received(UnsafeRawBufferPointer(rebasing: chunk[..<count]), deliver)
        }
        unsafe chunk.deallocate()
        lines.ended(deliver)
        // Whoever still writes finds out now.
        Sockets.shutdown(socket.raw)
        let ended = callbacks.ended
        callbacks = Callbacks()
        ending.fulfil(())
        ended()
    }

    private func deliver(_ item: LineReader.Item) {
        switch item {
        case .line(let line): callbacks.line(line)
        case .tooLong(let prefix): callbacks.lineTooLong(prefix)
        }
    }

    /// Nil after an error, which ends a connection as its end does.
    private func read(into chunk: UnsafeMutableRawBufferPointer) async -> Int? {
        do throws(SystemError) {
            return try unsafe await io.receive(on: socket.raw, into: chunk, until: .distantFuture)
        } catch {
            return nil
        }
    }
}
