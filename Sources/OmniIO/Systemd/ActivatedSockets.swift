internal import CShims.Systemd

/// The descriptors systemd passed to us: listening sockets of the socket units, and whatever our
/// predecessor put into the descriptor store. Each has a name (`FileDescriptorName=`, `FDNAME=`).
///
/// `$LISTEN_FDS` counts only when `$LISTEN_PID` names this process: a child of an activated daemon
/// inherits the variables, and must not take its parent's descriptors for its own.
public struct ActivatedSockets: Sendable {
    /// One passed descriptor. It is open, closes on exec, and belongs to whoever takes it.
    public struct Passed: Sendable, Hashable {
        public let descriptor: Int32
        public let name: String
        public let kind: Kind
    }

    public enum Kind: Sendable, Hashable {
        /// A listening stream socket.
        case listener(Family)
        /// A listening `SOCK_SEQPACKET` socket.
        case packetListener(Family)
        /// A connected or connectable socket.
        case connection(Family)
        case datagram(Family)
        /// Not a socket: a memfd, an eventfd, a file.
        case other
    }

    public enum Family: Sendable, Hashable { case ip4, ip6, unix, other }

    public let all: [Passed]

    /// What the environment says was passed; nothing where it is meant for somebody else.
    public init(
        _ environment: Environment, process: Int32? = nil, firstDescriptor: Int32 = 3
    ) throws(SystemError) {
        guard let count = environment["LISTEN_FDS"].flatMap({ Int32($0) }), count > 0,
            environment["LISTEN_PID"] == String(process ?? getpid())
        else {
            all = []
            return
        }
        let names =
            environment["LISTEN_FDNAMES"]?
            .split(separator: ":", omittingEmptySubsequences: false).map(String.init) ?? []
        var passed: [Passed] = []
        for index in 0..<count {
            let descriptor = firstDescriptor + index
            let status = omni2_set_close_on_exec(descriptor)
            if status < 0 { throw SystemError("fcntl", status) }
            let name = names.indices.contains(Int(index)) ? names[Int(index)] : "unknown"
            passed.append(
                Passed(descriptor: descriptor, name: name, kind: Self.kind(of: descriptor)))
        }
        all = passed
    }

    public var isEmpty: Bool { all.isEmpty }

    /// Those of one name, in the order in which the unit lists them.
    public subscript(name: String) -> [Passed] { all.filter { $0.name == name } }

    /// Names that were passed and that we do not know: what another version stored. To be closed
    /// and, with `ServiceManager.removeStored`, dropped.
    public func names(besides known: Set<String>) -> [String] {
        var seen = known
        return all.map(\.name).filter { seen.insert($0).inserted }
    }

    static func kind(of descriptor: Int32) -> Kind {
        var facts = omni2_socket_facts()
        unsafe omni2_socket_inspect(descriptor, &facts)
        let family: Family =
            switch facts.family {
            case AF_INET: .ip4
            case AF_INET6: .ip6
            case AF_UNIX: .unix
            default: .other
            }
        if facts.family < 0 { return .other }
        switch (facts.type, facts.is_listening != 0) {
        case (omni2_stream, true): return .listener(family)
        case (omni2_packet, true): return .packetListener(family)
        case (omni2_stream, false), (omni2_packet, false): return .connection(family)
        default: return .datagram(family)
        }
    }
}
