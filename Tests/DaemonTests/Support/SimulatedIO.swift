import OmniCore
import OmniIO

/// A kernel made of arrays: hot operations only, in one thread, with its moods drawn from a seed.
///
/// `turn` does what a ring's turn does: the handler's end of turn, the submission, the completions.
/// What the peers would read is in `peers[descriptor]`. `@safe`: bytes of a send are read before the
/// turn that completes it ends, as the contract of `IO` promises, and buffers live in `lent`.
@safe
final class SimulatedIO: IO {
    /// How badly the network behaves, in chances of 256.
    struct Moods {
        var partialSend = 0
        var fullSocket = 0
        var reset = 0
        /// Completions of different descriptors change places.
        var reordering = 0
    }

    /// What a kernel never does: it makes a hub that works look like one that is broken.
    enum Fault: CaseIterable {
        /// Of a send that is cut the rest is forgotten.
        case losesRests
        /// A window of the log is counted as sent and is not.
        case skipsWindows
        /// A window of the log is sent twice.
        case repeatsWindows
        /// A window of the log comes behind the one after it.
        case swapsWindows
        /// A snapshot after a gap is not marked.
        case hidesResyncs
    }

    struct Peer {
        var received: [UInt8] = []
        var arriving: [UInt8] = []
        var isOpen = true
        var receiveToken: CompletionToken?
        var hasHungUp = false
        /// Takes nothing for now.
        var isStalled = false
        /// A window that a fault keeps back.
        var late: [UInt8] = []
    }

    @safe
    private struct Send {
        let descriptor: Int32
        let bytes: UnsafeRawBufferPointer
        let token: CompletionToken
        let isNow: Bool
    }

    private(set) var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var wallMicroseconds: UInt64 { 1_700_000_000_000_000 + now.nanoseconds / 1000 }
    private var random: SplitMix64
    var moods: Moods
    /// What peers receive is kept; without, a turn allocates nothing.
    var keepsBytes = true
    var peers: [Int32: Peer] = [:]
    private(set) var sendCount = 0
    var fault: Fault?
    private(set) var faults = 0
    private(set) var reorderings = 0
    private var timers: TimerWheel
    private var fired: [UInt64] = []
    private var sends: [Send] = []
    private var waiting: [Send] = []
    private var completions: [Completion] = []
    /// Those of this turn.
    private var arrived: [Completion] = []
    private var lent: [UInt16: UnsafeMutableRawBufferPointer] = unsafe [:]
    private var nextBuffer: UInt16 = 0
    private var closed: [Int32] = []

    init(seed: UInt64 = 1, moods: Moods = Moods()) {
        random = SplitMix64(seed: seed)
        self.moods = moods
        timers = TimerWheel(now: MonotonicTime(nanoseconds: 1_000_000_000), capacity: 1024)
        sends.reserveCapacity(4096)
        completions.reserveCapacity(16384)
        arrived.reserveCapacity(16384)
        fired.reserveCapacity(256)
    }

    deinit {
        for key in unsafe Array(lent.keys) { unsafe lent[key]?.deallocate() }
    }

    /// True with a chance of `chance` in 256.
    func happens(_ chance: Int) -> Bool { Int(random.next() & 255) < chance }

    func pick(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    // MARK: The turn

    func turn(_ handler: any CompletionHandler, after step: Duration = .microseconds(100)) {
        handler.turnEnds()
        submit()
        now = now + step
        fired.removeAll(keepingCapacity: true)
        timers.advance(to: now, into: &fired)
        for token in fired { handler.fired(CompletionToken(rawValue: token)) }
        arrive()
        reorder()
        // A handler may cause completions only through the next turn.
        swap(&completions, &arrived)
        var run = 0..<0
        while run.upperBound < arrived.count {
            run = arrived.span.run(from: run.upperBound)
            handler.completed(arrived.span.extracting(run))
        }
        arrived.removeAll(keepingCapacity: true)
    }

    private func submit() {
        let earlier = waiting
        waiting.removeAll(keepingCapacity: true)
        for send in earlier { perform(send) }
        for index in sends.indices { perform(sends[index]) }
        sends.removeAll(keepingCapacity: true)
        // A close is an entry of the ring as well, behind the sends of its turn.
        for descriptor in closed { peers[descriptor]?.isOpen = false }
        closed.removeAll(keepingCapacity: true)
    }

    private func perform(_ send: Send) {
        sendCount += 1
        guard keepsBytes else { return complete(send, Int32(unsafe send.bytes.count)) }
        guard let peer = peers[send.descriptor], peer.isOpen, !peer.hasHungUp else {
            return complete(send, -32)
        }
        if happens(moods.reset) {
            peers[send.descriptor]?.hasHungUp = true
            return complete(send, -104)
        }
        if peer.isStalled || happens(moods.fullSocket) {
            if send.isNow { return complete(send, -11) }
            return waiting.append(send)
        }
        var count = unsafe send.bytes.count
        if happens(moods.partialSend), count > 1 { count = pick(1..<count) }
        var taken = unsafe Array(send.bytes[..<count])
        if fault != nil { count = corrupt(&taken, send, count) }
        peers[send.descriptor]?.received += taken
        complete(send, Int32(count))
    }

    /// What the peer reads instead; the answer is what the hub is told.
    private func corrupt(_ taken: inout [UInt8], _ send: Send, _ count: Int) -> Int {
        let whole = unsafe send.bytes.count
        switch fault {
        case .losesRests where count < whole && happens(64):
            faults += 1
            return whole
        case .skipsWindows where send.isNow && count == whole && happens(8):
            faults += 1
            taken = []
        case .repeatsWindows where send.isNow && count == whole && happens(8):
            faults += 1
            taken += taken
        case .swapsWindows where send.isNow && count == whole:
            let late = peers[send.descriptor]?.late ?? []
            if late.isEmpty, happens(8) {
                faults += 1
                peers[send.descriptor]?.late = taken
                taken = []
            } else {
                peers[send.descriptor]?.late = []
                taken += late
            }
        case .hidesResyncs where !send.isNow: hideResync(&taken)
        default: break
        }
        return count
    }

    private func hideResync(_ taken: inout [UInt8]) {
        let mark = Array(#""resync""#.utf8)
        guard taken.count >= mark.count else { return }
        for start in 0...(taken.count - mark.count)
        where taken[start..<(start + mark.count)].elementsEqual(mark) {
            taken[start + 1] = UInt8(ascii: "x")
            faults += 1
        }
    }

    private func complete(_ send: Send, _ result: Int32) {
        completions.append(Completion(token: send.token, result: result))
    }

    private func arrive() {
        guard keepsBytes else { return }
        // In order, so that a seed tells the whole story.
        for descriptor in peers.keys.sorted() {
            guard let peer = peers[descriptor], let token = peer.receiveToken else { continue }
            if peer.hasHungUp || !peer.isOpen {
                peers[descriptor]?.receiveToken = nil
                completions.append(Completion(token: token, result: peer.hasHungUp ? -104 : -125))
            } else if !peer.arriving.isEmpty {
                let count = pick(1..<peer.arriving.count + 1)
                deliver(Array(peer.arriving.prefix(count)), token)
                peers[descriptor]?.arriving.removeFirst(count)
            }
        }
    }

    /// Stable per descriptor would be enough for a kernel; sends of one descriptor never overlap.
    private func reorder() {
        guard moods.reordering > 0, completions.count > 1 else { return }
        for index in 1..<completions.count where happens(moods.reordering) {
            completions.swapAt(index - 1, index)
            reorderings += 1
        }
    }

    private static let moreAndBuffer: UInt32 = 3

    private func deliver(_ bytes: [UInt8], _ token: CompletionToken) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        unsafe buffer.copyBytes(from: bytes)
        nextBuffer &+= 1
        unsafe lent[nextBuffer] = buffer
        completions.append(
            Completion(
                token: token, result: Int32(bytes.count),
                flags: UInt32(nextBuffer) << 16 | Self.moreAndBuffer))
    }

    // MARK: Peers

    /// A peer connects; returns the completion of the accept.
    func connect(_ descriptor: Int32, listener: CompletionToken) -> Completion {
        peers[descriptor] = Peer()
        return Completion(token: listener, result: descriptor, flags: 2)
    }

    // MARK: Hot operations

    func accept(on descriptor: Int32, token: CompletionToken) {}

    func receive(on descriptor: Int32, token: CompletionToken) {
        peers[descriptor]?.receiveToken = token
    }

    func send(on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, token: CompletionToken) {
        unsafe sends.append(
            Send(descriptor: descriptor, bytes: bytes, token: token, isNow: false))
    }

    func sendNow(on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, token: CompletionToken) {
        unsafe sends.append(Send(descriptor: descriptor, bytes: bytes, token: token, isNow: true))
    }

    func send(on descriptor: Int32, vector: SendVector, token: CompletionToken) {
        preconditionFailure("no service under test gathers")
    }

    func close(_ descriptor: Int32) { closed.append(descriptor) }

    func cancel(_ token: CompletionToken) {
        for (descriptor, peer) in peers where peer.receiveToken == token {
            peers[descriptor]?.receiveToken = nil
            completions.append(Completion(token: token, result: -125))
        }
    }

    func received(_ completion: Completion) -> UnsafeMutableRawBufferPointer? {
        guard completion.result > 0, let buffer = completion.buffer else { return nil }
        return unsafe lent[buffer]
    }

    func giveBack(_ completion: Completion) {
        guard let buffer = completion.buffer else { return }
        unsafe lent.removeValue(forKey: buffer)?.deallocate()
    }

    func schedule(at deadline: MonotonicTime, token: CompletionToken) -> TimerWheel.Timer {
        timers.schedule(at: deadline, token: token.rawValue)
    }

    func cancel(_ timer: TimerWheel.Timer) { timers.cancel(timer) }

    var address: RingAddress { RingAddress() }
    func ring(_ other: RingAddress) { preconditionFailure("there is one ring") }

    // MARK: Awaited operations: nothing under test waits.

    func receive(
        on descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int { throw SystemError("recv", 38) }
    func send(
        on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int { throw SystemError("send", 38) }
    func read(
        from descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int { throw SystemError("read", 38) }
    func write(
        to descriptor: Int32, _ bytes: UnsafeRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int { throw SystemError("write", 38) }
    func connect(
        _ descriptor: Int32, to address: SocketAddress, until: MonotonicTime
    ) async throws(SystemError) { throw SystemError("connect", 38) }
    func readiness(
        of descriptor: Int32, _ events: Readiness, until: MonotonicTime
    ) async throws(SystemError) -> Readiness { throw SystemError("poll", 38) }
    func sleep(until deadline: MonotonicTime) async {}
    func wait(for ticket: WaitTicket, until: MonotonicTime) async -> Bool { false }
    func makeTicket() -> WaitTicket { preconditionFailure("nothing under test waits") }
    func wake(_ ticket: WaitTicket) {}
    func spawn(_ body: @escaping () async -> Void) {
        preconditionFailure("nothing under test starts tasks")
    }
    func offload<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value { work() }
}
