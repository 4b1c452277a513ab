import OmniCore
import OmniIO

/// Calls whose server waits for an answer, while their client, of the stateless era, is away to find
/// one: it comes back with the state it was given.
///
/// The state is a random name that only its own principal can use. Bounded in number; each ends with
/// its call, whose time is bounded.
final class HeldCalls {
    private var calls: [String: GatewayCall] = [:]
    private var order: [String] = []
    private let countMax: Int

    /// By which a state of ours is told from one of a server's.
    private static let prefix = "omni2-held."

    init(countMax: Int) { self.countMax = countMax }

    var count: Int { calls.count }

    /// At the limit the oldest is given up.
    func hold(_ call: GatewayCall) -> String {
        if calls.count >= countMax, let oldest = order.first {
            let given = calls[oldest]
            release(oldest)
            given?.cancel("too many calls wait for their clients")
        }
        var name = ByteWriter(capacity: 48)
        Digest.random(18).withRawSpan { Base64.encode($0, as: .urlSafe, into: &name) }
        let state = Self.prefix + name.string()
        calls[state] = call
        order.append(state)
        return state
    }

    func release(_ state: String) {
        guard calls.removeValue(forKey: state) != nil else { return }
        order.removeAll { $0 == state }
    }

    static func isOurs(_ state: String) -> Bool { state.hasPrefix(prefix) }

    /// The call this state was given for, if it is the same principal who asks for the same thing.
    func take(_ state: String, _ principal: Principal, subject: String) -> GatewayCall? {
        guard let call = calls[state], call.principal == principal, call.subject == subject else {
            return nil
        }
        release(state)
        return call
    }
}
