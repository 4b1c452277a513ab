import OmniCore
import OmniIO

/// One peer: its socket, what waits to be sent, and the conversation held with it.
///
/// The slot stays taken until the kernel has finished with every operation that names it, so that a
/// late completion finds either this connection or a stale generation. Who calls: `Door` for
/// completions, conversations for sending and closing. An idle one is an object of 88 bytes
/// (`MemoryTests`): what is rarely needed is lent or asked for.
final class Connection {
    enum Stage {
        /// Bytes go to the conversation.
        case open
        /// Our last bytes leave, then our end closes; input is discarded.
        case finishing
        /// Our end is closed; we wait a moment for the peer's, so that a reset does not destroy
        /// what it has not read yet.
        case lingering
        /// The socket goes to another ring as soon as the kernel has let go of it here.
        case departing
        /// Waiting for the kernel to give back its operations.
        case closed
    }

    let handle: SlotIndex.Handle
    let descriptor: Int32
    /// In the list of the main ring's door, on every ring.
    let listenerIndex: UInt16
    private(set) var stage = Stage.open
    private var isReceiving = false
    private var isSending = false
    private(set) var isPaused = false
    private(set) var hasPeerEnded = false
    /// Nothing is read any more, and nothing new begins: see `Door.park`.
    private(set) var isParked = false
    /// In the door's list of those to flush at the end of the turn.
    var isDirty = false
    private var deadline = TimerWheel.Timer.none
    unowned let door: Door
    private(set) var conversation: any Conversation
    private var outbox = Outbox()

    init(
        handle: SlotIndex.Handle, descriptor: Int32, listener: Int, door: Door,
        conversation: any Conversation
    ) {
        self.handle = handle
        self.descriptor = descriptor
        listenerIndex = UInt16(clamping: listener)
        self.door = door
        self.conversation = conversation
    }

    var io: any IO { door.io }

    /// Where the peer came in; nil where it came from another ring.
    var listener: Listener? { door.listener(Int(listenerIndex)) }

    /// Nil when the peer has gone already.
    var peerAddress: SocketAddress? { Sockets.peerAddress(of: descriptor) }

    var isOpen: Bool {
        if case .open = stage { true } else { false }
    }

    var pendingBytes: Int { outbox.byteCount }

    /// Nothing gathered, nothing in flight.
    var isIdle: Bool { outbox.isEmpty && !isSending && !conversation.isAloft }

    // MARK: Verbs of the conversation

    /// Queues a copy; it leaves at the end of the turn.
    func send(_ bytes: RawSpan) {
        guard isOpen, bytes.byteCount > 0 else { return }
        outbox.append(reserving: bytes.byteCount, from: door.buffers) { $0.append(bytes) }
        markDirty()
    }

    func send(_ bytes: [UInt8]) { bytes.withRawSpan { send($0) } }

    /// Queues what `write` appends, at most `count` bytes.
    func send(reserving count: Int, _ write: (inout ByteWriter) -> Void) {
        guard isOpen else { return }
        outbox.append(reserving: count, from: door.buffers, write)
        markDirty()
    }

    /// Sends a copy before all that is queued, also when it is queued to be the last: the rest of a
    /// frame whose beginning has left.
    func sendFirst(_ bytes: RawSpan) {
        if case .closed = stage { return }
        outbox.prepend(bytes, from: door.buffers)
        markDirty()
    }

    /// Sends what is queued, then closes in order.
    func finish() {
        guard isOpen else { return }
        stage = .finishing
        if isIdle { linger() } else { markDirty() }
    }

    /// Closes at once; what is queued is lost.
    func abort() {
        if case .closed = stage { return }
        stage = .closed
        setDeadline(nil)
        Sockets.shutdown(descriptor)
        conversation.ended(on: self)
        retireIfQuiet()
    }

    /// Another conversation takes over, after an upgrade.
    func converse(_ conversation: any Conversation) { self.conversation = conversation }

    /// Gives the socket away, once what is queued has left and nothing is received here any more.
    func depart(_ departure: Departure) {
        conversation = departure
        guard isOpen else { return departure.ended(on: self) }
        stage = .departing
        if isReceiving { io.cancel(token(.receive)) }
        retireIfQuiet()
    }

    /// One deadline per connection; a new one replaces the old.
    func setDeadline(_ time: MonotonicTime?) {
        if deadline != .none { io.cancel(deadline) }
        deadline = time.map { io.schedule(at: $0, token: token(.deadline)) } ?? .none
    }

    /// Backpressure: the kernel keeps what the peer sends from now on.
    func pauseReceiving() {
        guard !isPaused else { return }
        isPaused = true
        if isReceiving { io.cancel(token(.receive)) }
    }

    func resumeReceiving() {
        guard isPaused else { return }
        isPaused = false
        armReceive()
    }

    // MARK: Handing over

    /// Ends reading. What arrives until the kernel has let go is kept for our successor.
    func park() {
        guard isOpen, !isParked else { return }
        isParked = true
        if isReceiving { io.cancel(token(.receive)) }
    }

    /// The kernel has no operation on the socket.
    var isQuiet: Bool { !isReceiving && !isSending && !conversation.isAloft }

    /// Our successor sends the rest.
    func stopSending() { if isSending { io.cancel(token(.send)) } }

    var unsent: [UInt8] { outbox.unsent }

    // MARK: Completions

    func armReceive() {
        guard !isReceiving, !isPaused, !hasPeerEnded, !isParked else { return }
        switch stage {
        case .open, .finishing, .lingering: break
        case .departing, .closed: return
        }
        isReceiving = true
        io.receive(on: descriptor, token: token(.receive))
    }

    func received(_ completion: Completion) {
        if !completion.hasMore { isReceiving = false }
        defer { io.giveBack(completion) }
        if let bytes = unsafe io.received(completion) {
            switch stage {
            case .open where isParked: unsafe door.keep(bytes, of: self)
            case .open, .departing: unsafe conversation.received(bytes, on: self)
            case .finishing, .lingering, .closed: break
            }
            // Multishot ends now and then, for want of buffers or room: it is armed again.
            armReceive()
        } else {
            receiveEnded(completion.result)
        }
        retireIfQuiet()
    }

    private func receiveEnded(_ result: Int32) {
        switch (result, stage) {
        // Whatever ended it here, the other ring will be told by the socket.
        case (_, .closed), (_, .departing): break
        case (-Code.noBuffers, _), (-Code.interrupted, _): armReceive()
        case (-Code.cancelled, _) where isPaused || isParked: break
        case (-Code.cancelled, _): armReceive()
        case (0, .open):
            hasPeerEnded = true
            conversation.peerEnded(on: self)
        case (0, .finishing):
            hasPeerEnded = true
        default: abort()
        }
    }

    func sent(_ completion: Completion) {
        isSending = false
        if case .closed = stage {
            retireIfQuiet()
        } else if completion.result == -Code.cancelled, door.isFrozen {
            return
        } else if completion.result < 0 {
            abort()
        } else if let rest = unsafe outbox.landed(
            Int(completion.result), to: door.buffers)
        {
            if door.isFrozen { return }
            isSending = true
            unsafe io.send(on: descriptor, rest, token: token(.send))
        } else {
            flush()
        }
    }

    /// End of the turn, or of a send: whatever is gathered leaves in one piece.
    func flush() {
        if isSending || conversation.isAloft || door.isFrozen { return }
        if case .closed = stage { return }
        if let bytes = unsafe outbox.takeOff() {
            isSending = true
            unsafe io.send(on: descriptor, bytes, token: token(.send))
            return
        }
        switch stage {
        case .open: conversation.drained(on: self)
        case .finishing: linger()
        case .departing: retireIfQuiet()
        case .lingering, .closed: break
        }
    }

    func deadlinePassed() {
        deadline = .none
        switch stage {
        case .open: conversation.deadlinePassed(on: self)
        case .finishing, .lingering, .departing: abort()
        case .closed: break
        }
    }

    // MARK: The end

    private func linger() {
        if hasPeerEnded { return abort() }
        stage = .lingering
        Sockets.shutdownWriting(descriptor)
        setDeadline(io.now + door.limits.lingerTime)
        // A paused peer may have sent its end long ago.
        isPaused = false
        isParked = false
        armReceive()
    }

    private func retireIfQuiet() {
        guard !isReceiving, !isSending else { return }
        switch stage {
        case .closed: door.retire(self)
        case .departing where outbox.isEmpty: leave()
        case .open, .finishing, .lingering, .departing: break
        }
    }

    private func leave() {
        setDeadline(nil)
        stage = .closed
        door.retire(self, closing: false)
        (conversation as? Departure)?.departed(descriptor)
    }

    private func markDirty() {
        if isDirty { return }
        isDirty = true
        door.flushLater(self)
    }

    private func token(_ kind: HotKind) -> CompletionToken {
        kind.token(handle.generation, handle.slot)
    }

    /// errno values an operation ends with (asm-generic/errno.h).
    private enum Code {
        static let interrupted: Int32 = 4
        static let wouldBlock: Int32 = 11
        static let noBuffers: Int32 = 105
        static let cancelled: Int32 = 125
    }
}
