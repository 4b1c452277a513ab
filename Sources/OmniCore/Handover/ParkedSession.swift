/// An MCP session of a client.
public struct ParkedSession: Hashable, Sendable {
    public var id: String
    public var identity: ParkedIdentity
    public var machine: MCPSession
    /// Seconds since it was last used.
    public var idle: UInt32
    public var logLevel: MCPLogLevel?
    /// The number of the last event of its stream: a client may come back with it.
    public var sequence: UInt64

    public init(
        id: String, identity: ParkedIdentity, machine: MCPSession, idle: UInt32,
        logLevel: MCPLogLevel? = nil, sequence: UInt64 = 0
    ) {
        self.logLevel = logLevel
        self.sequence = sequence
        self.id = id
        self.identity = identity
        self.machine = machine
        self.idle = idle
    }

    func write(to state: inout StateWriter) {
        state.put(id)
        identity.write(to: &state)
        machine.write(to: &state)
        state.put(idle)
        state.put(logLevel) { $0.put($1.rawValue) }
        state.put(sequence)
    }

    init(from state: inout StateReader) throws(StateError) {
        id = try state.string()
        identity = try ParkedIdentity(from: &state)
        machine = try MCPSession(from: &state)
        idle = try state.word()
        let level = try state.optional { one throws(StateError) in try one.byte() }
        logLevel = try level.map { raw throws(StateError) in
            guard let level = MCPLogLevel(rawValue: raw) else { throw .invalid }
            return level
        }
        sequence = UInt64(Int64(clamping: try state.long()))
    }
}

extension MCPSession {
    func write(to state: inout StateWriter) {
        state.put(self.state.rawValue)
        state.put("\(version.text)")
        state.put(client.name)
        state.put(client.version)
        state.put(client.title)
        state.put(UInt32(capabilities.rawValue))
    }

    init(from state: inout StateReader) throws(StateError) {
        guard let phase = State(rawValue: try state.byte()),
            let version = ProtocolVersion(try state.string())
        else { throw .invalid }
        let client = MCPPeer(
            name: try state.string(), version: try state.string(), title: try state.text())
        let capabilities = ClientCapabilities(
            rawValue: UInt16(truncatingIfNeeded: try state.word()))
        self.init(
            restored: phase, version: version, client: client, capabilities: capabilities)
    }
}
