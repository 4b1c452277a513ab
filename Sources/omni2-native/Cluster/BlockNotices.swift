import OmniCore
import OmniIO

/// `user_blocked`: somebody was blocked, here or elsewhere. Sockets of the user close at once.
final class BlockNotices {
    static let channel = "user_blocked"

    struct Notice {
        let user: Int
        let services: [String]
        let message: String?

        func concerns(_ service: Permission.Service) -> Bool {
            services.isEmpty || services.contains(service.rawValue)
        }
    }

    private let io: any IO
    private let link: RedisLink?
    private let origin: String
    /// Told of each block, whoever said it first.
    var observers: [(Notice) -> Void] = []

    init(io: any IO, link: RedisLink?, origin: String) {
        self.io = io
        self.link = link
        self.origin = origin
        link?.on(Self.channel) { [unowned self] in self.heard($0) }
    }

    /// Blocked on this host.
    func announce(_ block: UserBlock) {
        tell(Notice(user: block.userID, services: block.services, message: block.message))
        var message: JSONValue = [
            "user_id": JSONValue(block.userID), "blocked_services": JSONValue(block.services),
            "custom_message": JSONValue(block.message), "origin": .string(origin),
        ]
        message["blocked_by"] = block.blockedBy.map { JSONValue($0) } ?? .null
        message["timestamp"] = .double(Double(io.wallMicroseconds) / 1e6)
        link?.publish(Self.channel, message.bytes)
    }

    private func heard(_ payload: [UInt8]) {
        guard let message = EventBus.object(payload), message["origin"]?.string != origin,
            let user = message["user_id"]?.int.flatMap({ Int(exactly: $0) })
        else { return }
        tell(
            Notice(
                user: user, services: message["blocked_services"]?.strings ?? [],
                message: message["custom_message"]?.string))
    }

    private func tell(_ notice: Notice) { for observer in observers { observer(notice) } }
}
