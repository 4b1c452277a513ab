import OmniCore
import OmniIO

@testable import omni2_native

/// A hub behind a door on a simulated kernel, with peers that are connected already.
final class HubFixture {
    let io: SimulatedIO
    let door: Door
    let hub: WebSocketHub
    /// Beyond what a process can have open: a system call on one of them does nothing.
    private static let firstDescriptor: Int32 = 0x4000_0000
    private var peersMade: Int32 = 0
    private var lastSeen: UInt64?
    private var identity = "test"
    private(set) var conversations: [WebSocketConversation] = []

    init(
        seed: UInt64 = 1, moods: SimulatedIO.Moods = .init(), deflate: PerMessageDeflate? = nil,
        role: Principal.Role = .superAdmin,
        adjust: (inout WebSocketHub.Settings) -> Void = { _ in }
    ) throws {
        let io = SimulatedIO(seed: seed, moods: moods)
        let log = Log(Journal.silent(), service: .webSocket)
        var settings = WebSocketHub.Settings()
        settings.fanout.logBytesMax = 1 << 20
        settings.fanout.logEventsMax = 4096
        settings.pingInterval = .seconds(3600)
        adjust(&settings)
        let hub = try WebSocketHub(io: io, clock: WallClock(io), settings: settings, log: log)
        door = Door(io: io, limits: Door.Limits(connectionsMax: 20_000), log: log)
        self.io = io
        self.hub = hub
        let shared = WebSocketShared(limits: WebSocketLimits())
        door.welcome = { [unowned self] _ in
            let conversation = WebSocketConversation(
                WebSocketNewcomer(
                    principal: Principal(id: identity, name: "test", role: role),
                    deflateBits: deflate?.serverWindowBits ?? 0, lastSeen: lastSeen),
                to: hub, shared: shared)
            conversations.append(conversation)
            return conversation
        }
        door.turnEnd = { [unowned hub] in hub.turnEnds() }
        door.otherTimer = { [unowned hub] in hub.fired($0) }
        door.otherCompletions = { [unowned fanout = hub.fanout] in fanout.flown($0) }
        door.listen(
            Listener(
                descriptor: Self.firstDescriptor - 1, address: .path("/nowhere"),
                isActivated: false))
        door.open()
    }

    /// Connects a peer; its descriptor.
    @discardableResult
    func connect(lastSeen: UInt64? = nil, as identity: String = "test") -> Int32 {
        self.lastSeen = lastSeen
        self.identity = identity
        let (descriptor, arrival) = arrive()
        door.completed([arrival].span)
        return descriptor
    }

    /// A peer that stands before the door, and the completion that lets it in.
    func arrive() -> (descriptor: Int32, Completion) {
        let descriptor = Self.firstDescriptor + peersMade
        peersMade += 1
        return (descriptor, io.connect(descriptor, listener: HotKind.accept.token(0, 0)))
    }

    /// A peer sends a text message, whole and masked.
    func say(_ text: String, from descriptor: Int32) {
        var writer = ByteWriter(capacity: text.utf8.count + 14)
        Array(text.utf8).withRawSpan {
            WebSocketWriter.frame(.text, $0, mask: ByteMask(1, 2, 3, 4), into: &writer)
        }
        io.peers[descriptor]?.arriving += writer.array()
    }

    func turn(_ count: Int = 1, after step: Duration = .microseconds(100)) {
        for _ in 0..<count { io.turn(door, after: step) }
    }

    /// An event for everyone, `{"seq":…,"type":"note",…}` of about `count` bytes.
    @discardableResult
    func publish(padding count: Int = 0) -> UInt64? {
        let text =
            #"{"type":"note","seq":\#(hub.lastSequence + 1),"pad":""#
            + String(repeating: "x", count: count) + #""}"#
        return Array(text.utf8).withRawSpan { hub.publish($0, facts: Self.facts) }
    }

    static let facts = EventFacts(type: "note", audience: .everyone)
}
