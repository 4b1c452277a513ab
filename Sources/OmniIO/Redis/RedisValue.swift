/// What Redis answers.
public enum RedisValue: Sendable, Equatable {
    case nothing
    case text([UInt8])
    case number(Int64)
    case list([RedisValue])
    /// The command was refused: Redis's own words.
    case error(String)

    /// A bulk or status reply.
    public var bytes: [UInt8]? {
        if case .text(let bytes) = self { bytes } else { nil }
    }

    public var string: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    public var list: [RedisValue]? {
        if case .list(let values) = self { values } else { nil }
    }
}

/// Why a command has no answer.
public enum RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Not connected, or no longer.
    case connectionLost(String)
    case timedOut
    /// More waits to be sent than is allowed.
    case crowded
    /// Redis refused to let us in.
    case refused(String)

    public var description: String {
        switch self {
        case .connectionLost(let reason): reason
        case .timedOut: "timed out"
        case .crowded: "more commands wait than allowed"
        case .refused(let reason): "refused: \(reason)"
        }
    }
}
