import OmniCore
import OmniIO
import Synchronization

/// What the main ring tells a shard. Order matters: a snapshot counts from the event before it.
enum ShardOrder: Sendable {
    /// The number of the first event that will come.
    case begin(at: UInt64, isFirst: Bool)
    case event(RelayedEvent)
    case adopt(Handover)
    /// The snapshot that was asked for, of the servers of that access.
    case status(HubPeerID, EventAccess, [UInt8])
    /// What became of an event that a subscriber published.
    case published(HubPeerID, reply: [UInt8])
    case accessChanged(Principal, EventAccess?, farewell: String?)
    case report(UInt64)
    case stop(until: MonotonicTime)
    /// A connection that a predecessor of the daemon held.
    case restore(ParkedPeer, WebSocketNewcomer)
    /// The daemon's successor goes on with everything: answered by `parked`, then the ring ends.
    case park

    /// A socket that changes rings, and what is to be said on it first.
    struct Handover: Sendable {
        let descriptor: Int32
        let listener: Int
        let newcomer: WebSocketNewcomer
        let answer: [UInt8]
        let early: [UInt8]
    }
}

/// An event as it is written in every ring's log. The bytes are shared.
struct RelayedEvent: Sendable {
    let sequence: UInt64
    let payload: [UInt8]
    let facts: EventFacts
}

/// What a shard tells the main ring.
enum ShardReport: Sendable {
    case opened(RingAddress)
    case failed(SystemError)
    case wantsStatus(HubPeerID, EventAccess)
    case wantsPublished(HubPeerID, PublishRequest)
    case left(Principal, String?)
    case lagged(String?, missed: UInt64)
    case report(UInt64, HubReport)
    case parked([ParkedPeer])
    case ended
}

/// Letters from one ring's thread to another's: put in batches, taken all at once.
///
/// The reader looks when one of its turns begins; a writer that found the box empty rings it.
final class Mailbox<Letter: Sendable>: Sendable {
    private let letters = Mutex<[Letter]>([])
    private let isFilled = Atomic<Bool>(false)

    /// Takes all of `batch`; true when the reader must be rung.
    func put(_ batch: inout [Letter]) -> Bool {
        let wasEmpty = letters.withLock { letters in
            defer { letters.append(contentsOf: batch) }
            return letters.isEmpty
        }
        batch.removeAll(keepingCapacity: true)
        isFilled.store(true, ordering: .releasing)
        return wasEmpty
    }

    func take() -> [Letter] {
        guard isFilled.load(ordering: .acquiring) else { return [] }
        isFilled.store(false, ordering: .relaxed)
        return letters.withLock { letters in
            defer { letters = [] }
            return letters
        }
    }

    /// Letters that nobody has taken yet.
    var count: Int { letters.withLock { $0.count } }
}
