import OmniCore
import OmniIO

/// Names in systemd's descriptor store. They say of each connection what must be known even by a
/// daemon that cannot read the hand-over: whether a goodbye may be written to it.
enum HandoverNames {
    static let state = "handover"

    enum Batch: String, CaseIterable {
        /// WebSocket, between two frames.
        case webSocket = "ws-"
        /// WebSocket, inside of a frame.
        case cutWebSocket = "cut-"
        /// HTTP between two requests.
        case requests = "keep-"
        /// HTTP inside of an answer.
        case stream = "sse-"

        init?(_ name: String) {
            guard let batch = Self.allCases.first(where: { name.hasPrefix($0.rawValue) }),
                UInt32(name.dropFirst(batch.rawValue.utf8.count)) != nil
            else { return nil }
            self = batch
        }

        init(_ parked: ParkedConnection) {
            self.init(talk: parked.talk)
            if self == .webSocket, !parked.unsent.isEmpty { self = .cutWebSocket }
        }

        /// For a stream of which everything has been sent.
        init(talk: ParkedConnection.Talk) {
            switch talk {
            case .requests: self = .requests
            case .stream: self = .stream
            case .webSocket: self = .webSocket
            }
        }

        /// Short: the names of all descriptors travel in one environment variable.
        func name(_ number: Int) -> String { "\(rawValue)\(number)" }
    }

    /// Those of ours among what was passed, each once.
    static func ours(in activated: ActivatedSockets) -> [String] {
        activated.names(besides: []).filter {
            $0 == state || $0 == KeptEventLog.name || Batch($0) != nil
        }
    }
}
