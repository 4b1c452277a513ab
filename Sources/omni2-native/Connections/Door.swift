import OmniCore
import OmniIO

/// Where connections come in: listeners, the connection table, and the end of each turn.
///
/// Every hot completion passes through `completed`, a `switch` on its kind, and goes to one
/// connection by slot and generation. Nothing here allocates per message.
final class Door: CompletionHandler {
    struct Limits {
        var connectionsMax = 4096
        /// How long a finished connection may take to close its end.
        var lingerTime = Duration.seconds(2)
        /// How long accepting rests after the process ran out of descriptors.
        var acceptPause = Duration.milliseconds(250)
        /// How long, at the end, the first request of a peer that was just let in may be on its way.
        var lastRequestTime = Duration.milliseconds(100)
    }

    let io: any IO
    let limits: Limits
    let buffers = SendBuffers()
    private let log: Log
    private(set) var listeners: [Listener] = []
    private var slots: SlotIndex
    private var connections: [Connection?]
    private var dirty: [Connection] = []
    private var isAccepting = false
    private var isDraining = false
    /// From here on peers that come in are handed over as they are.
    var isParking = false
    /// Nothing is sent any more either.
    var isFrozen = false
    /// What parked connections still received, by slot.
    var unread: [UInt32: [UInt8]] = [:]
    private var limitWasReached = false
    /// Woken when the last connection is gone.
    private var emptied: WaitTicket?
    private(set) var statistics = Statistics()

    struct Statistics {
        var accepted: UInt64 = 0
        var refused: UInt64 = 0
        var staleCompletions: UInt64 = 0
    }

    /// Begins the conversation with a new peer.
    var welcome: (Listener) -> any Conversation = { _ in preconditionFailure("nobody is in") }
    /// Connections that came in here and are served on other rings: they count.
    var elsewhere: () -> Int = { 0 }
    /// Services read here what other threads sent.
    var turnBegin: () -> Void = {}
    /// Services flush here what they gathered, before the connections do.
    var turnEnd: () -> Void = {}
    /// Completions and timers of kinds that are not the door's.
    var otherCompletions: (Completions) -> Void = { _ in }
    var otherTimer: (CompletionToken) -> Void = { _ in }

    init(io: any IO, limits: Limits, log: Log) {
        self.io = io
        self.limits = limits
        self.log = log
        slots = SlotIndex(capacity: limits.connectionsMax)
        connections = Array(repeating: nil, count: limits.connectionsMax)
        dirty.reserveCapacity(limits.connectionsMax)
    }

    var count: Int { slots.count }
    var addresses: [SocketAddress] { listeners.map(\.address) }

    // MARK: Listening

    func listen(_ listener: Listener) {
        listeners.append(listener)
        if isAccepting { accept(listeners.count - 1) }
    }

    /// Until now peers wait in the kernel's backlog; from now on they are let in.
    func open() {
        isAccepting = true
        for index in listeners.indices { accept(index) }
    }

    /// No new peers. Sockets of systemd stay open for whoever comes after us.
    func closeListeners() {
        isAccepting = false
        for (index, listener) in listeners.enumerated() {
            io.cancel(HotKind.accept.token(0, UInt32(index)))
            if !listener.isActivated { io.close(listener.descriptor) }
        }
    }

    /// Ends what is left: idle connections soon, busy ones when they are done or at the deadline.
    func drain(until deadline: MonotonicTime) async {
        // The kernel let peers in before the accept was cancelled; they would see their request
        // unanswered, where one in the backlog is answered by our successor.
        await io.sleep(until: min(deadline, io.now + limits.lastRequestTime))
        isDraining = true
        forEachConnection { $0.conversation.stopping(on: $0) }
        let emptied = io.makeTicket()
        self.emptied = emptied
        if count > 0 { _ = await io.wait(for: emptied, until: deadline) }
        self.emptied = nil
        forEachConnection { $0.abort() }
    }

    /// Nil for a peer that came from another ring.
    func listener(_ index: Int) -> Listener? {
        index < listeners.count ? listeners[index] : nil
    }

    func forEachConnection(_ body: (Connection) -> Void) {
        for connection in connections { if let connection { body(connection) } }
    }

    private func accept(_ index: Int) {
        io.accept(
            on: listeners[index].descriptor, token: HotKind.accept.token(0, UInt32(index)))
    }

    private func accepted(_ completion: Completion) {
        let index = Int(completion.token.slot)
        if completion.result >= 0 {
            isDraining
                ? io.close(completion.result) : admit(completion.result, index)
            if !completion.hasMore, isAccepting { accept(index) }
            return
        }
        guard isAccepting, !completion.hasMore else { return }
        // Out of descriptors or memory: a pause gives peers time to leave. Anything else that a
        // single peer causes (it hung up before we looked) must not stop the listener either.
        log.warning(
            "accepting failed, trying again in \(limits.acceptPause)",
            id: .descriptorLimitReached,
            fields: [
                "listener": listeners[index].address.description,
                "error": SystemError("accept", completion.result),
            ])
        _ = io.schedule(
            at: io.now + limits.acceptPause, token: HotKind.acceptAgain.token(0, UInt32(index)))
    }

    private func admit(_ descriptor: Int32, _ index: Int) {
        guard slots.count + elsewhere() < limits.connectionsMax, let handle = slots.claim() else {
            return refuse(descriptor)
        }
        limitWasReached = false
        statistics.accepted += 1
        let listener = listeners[index]
        if !listener.address.isPath { Sockets.setNoDelay(descriptor) }
        let connection = Connection(
            handle: handle, descriptor: descriptor, listener: index, door: self,
            conversation: welcome(listener))
        connections[Int(handle.slot)] = connection
        (connection.conversation as? any ConversationOpening)?.opened(on: connection)
        if isParking { connection.park() }
        connection.armReceive()
    }

    /// A connection that a predecessor held. Nil, and closed, when there is no room. The caller
    /// opens the conversation.
    func restore(
        _ descriptor: Int32, _ listener: Int, _ conversation: any Conversation
    ) -> Connection? {
        guard let handle = slots.claim() else {
            io.close(descriptor)
            return nil
        }
        statistics.accepted += 1
        let connection = Connection(
            handle: handle, descriptor: descriptor, listener: listener, door: self,
            conversation: conversation)
        connections[Int(handle.slot)] = connection
        return connection
    }

    /// A peer that another ring let in, and what to say to it first. False when there is no room:
    /// the socket is closed.
    func adopt(
        _ descriptor: Int32, _ listener: Int, _ conversation: any ConversationOpening,
        saying answer: [UInt8], early: [UInt8]
    ) -> Bool {
        guard !isDraining, let connection = restore(descriptor, listener, conversation) else {
            return false
        }
        connection.send(answer)
        conversation.opened(on: connection)
        var early = early
        if !early.isEmpty {
            unsafe early.withUnsafeMutableBytes { bytes in
                unsafe conversation.received(bytes, on: connection)
            }
        }
        connection.armReceive()
        return true
    }

    private func refuse(_ descriptor: Int32) {
        statistics.refused += 1
        if !limitWasReached {
            limitWasReached = true
            log.warning(
                "connection limit reached, refusing with 503", id: .connectionLimitReached,
                fields: ["limit": limits.connectionsMax])
        }
        Sockets.sendWithoutWaiting(descriptor, Self.refusal)
        io.close(descriptor)
    }

    private static let refusal: StaticString = """
        HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n\
        Content-Type: application/json\r\nContent-Length: 61\r\n\r\n\
        {"error":"too many connections","message":"try again later."}
        """

    // MARK: CompletionHandler

    func turnBegins() { turnBegin() }

    func completed(_ completions: Completions) {
        let kind = HotKind(rawValue: completions[0].token.kind)
        guard kind == .receive || kind == .send || kind == .accept else {
            return otherCompletions(completions)
        }
        for index in completions.indices {
            let completion = completions[index]
            switch kind {
            case .receive: connection(completion.token)?.received(completion)
            case .send: connection(completion.token)?.sent(completion)
            default: accepted(completion)
            }
        }
    }

    func fired(_ token: CompletionToken) {
        switch HotKind(rawValue: token.kind) {
        case .deadline: connection(token)?.deadlinePassed()
        case .acceptAgain: if isAccepting { accept(Int(token.slot)) }
        default: otherTimer(token)
        }
    }

    func turnEnds() {
        turnEnd()
        // A flush may make another one dirty, but none twice: what it sends is in flight then.
        var index = 0
        while index < dirty.count {
            dirty[index].isDirty = false
            dirty[index].flush()
            index += 1
        }
        dirty.removeAll(keepingCapacity: true)
    }

    private func connection(_ token: CompletionToken) -> Connection? {
        let handle = SlotIndex.Handle(slot: token.slot, generation: token.generation)
        guard slots.contains(handle) else {
            statistics.staleCompletions += 1
            return nil
        }
        return connections[Int(token.slot)]
    }

    func connection(_ handle: SlotIndex.Handle) -> Connection? {
        slots.contains(handle) ? connections[Int(handle.slot)] : nil
    }

    // MARK: Called by connections

    func flushLater(_ connection: Connection) { dirty.append(connection) }

    /// `closing` is false for a socket that lives on elsewhere.
    func retire(_ connection: Connection, closing: Bool = true) {
        guard slots.contains(connection.handle) else { return }
        connections[Int(connection.handle.slot)] = nil
        slots.release(connection.handle)
        if closing { io.close(connection.descriptor) }
        if slots.count == 0, let emptied { io.wake(emptied) }
    }
}

/// A conversation that has something to do when the connection begins, such as a first deadline.
protocol ConversationOpening: Conversation {
    func opened(on connection: Connection)
}
