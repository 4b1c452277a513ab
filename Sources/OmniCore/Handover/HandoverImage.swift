/// What one daemon leaves to the next across a restart: connections and sessions, as bytes.
///
///     magic 8 | version 4 | checksum of the rest 4 | the rest: log, connections, sessions
///
/// The version counts every change of the layout, here or in a part. Other versions are not read:
/// a daemon that does not know the version starts clean and tells the clients so.
public struct HandoverImage: Hashable, Sendable {
    /// Which event log the cursors count in.
    public struct LogMark: Hashable, Sendable {
        /// Drawn when the log was made.
        public var epoch: UInt64
        /// The next event's number when the state was written. The log may have gone on since.
        public var next: UInt64

        public init(epoch: UInt64, next: UInt64) {
            self.epoch = epoch
            self.next = next
        }
    }

    public static let version: UInt32 = 1
    static let magic = Array("OMNI2HND".utf8)
    /// In place of the magic once a successor has begun to use it: twice would be wrong.
    public static let usedMagic = Array("OMNI2OLD".utf8)
    static let headerByteCount = 16

    public var log: LogMark
    public var connections: [ParkedConnection]
    public var sessions: [ParkedSession]

    public init(
        log: LogMark, connections: [ParkedConnection] = [], sessions: [ParkedSession] = []
    ) {
        self.log = log
        self.connections = connections
        self.sessions = sessions
    }

    public func encoded() -> [UInt8] {
        var body = StateWriter()
        body.put(log.epoch)
        body.put(log.next)
        body.put(all: connections) { $1.write(to: &$0) }
        body.put(all: sessions) { $1.write(to: &$0) }
        var head = StateWriter()
        head.put(Self.version)
        head.put(Checksum.of(body.bytes))
        return Self.magic + head.bytes + body.bytes
    }

    public init(decoding bytes: [UInt8]) throws(HandoverError) {
        if bytes.starts(with: Self.usedMagic) { throw .used }
        guard bytes.prefix(Self.magic.count) == Self.magic[..<min(bytes.count, Self.magic.count)]
        else { throw .foreign }
        guard bytes.count >= Self.headerByteCount else { throw .damaged(.truncated) }
        let found = Self.word(bytes, at: 8)
        guard found == Self.version else { throw .version(found) }
        let rest = bytes[Self.headerByteCount...]
        guard Checksum.of(rest) == Self.word(bytes, at: 12) else { throw .damaged(.invalid) }
        do throws(StateError) {
            var reader = StateReader(rest)
            self.init(log: LogMark(epoch: try reader.long(), next: try reader.long()))
            connections = try reader.list { one throws(StateError) in
                try ParkedConnection(from: &one)
            }
            sessions = try reader.list { one throws(StateError) in try ParkedSession(from: &one) }
            guard reader.isAtEnd else { throw .invalid }
        } catch {
            throw .damaged(error)
        }
    }

    private static func word(_ bytes: [UInt8], at offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// Why a hand-over cannot be used.
public enum HandoverError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not written by this program.
    case foreign
    case version(UInt32)
    case damaged(StateError)
    /// A successor that did not survive had begun with it.
    case used

    public var description: String {
        switch self {
        case .foreign: "it is not a hand-over of omni2-native"
        case .version(let found):
            "it has version \(found), and this daemon knows version \(HandoverImage.version)"
        case .damaged(.truncated): "it ends too early"
        case .damaged(.invalid): "its checksum or a value in it is wrong"
        case .used: "an earlier start had begun to use it and did not come to an end"
        }
    }
}
