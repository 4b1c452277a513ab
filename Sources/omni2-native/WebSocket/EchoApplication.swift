import OmniCore

/// Sends every message back: for conformance tests, where it is configured.
final class EchoApplication: WebSocketApplication {
    func opened(_ peer: WebSocketConversation) { _ = peer.takeBeginning() }

    func received(_ message: RawSpan, isText: Bool, from peer: WebSocketConversation) {
        if isText { peer.send(text: message) } else { peer.send(binary: message) }
    }

    func heard(_ peer: WebSocketConversation) {}
    func blocked(_ peer: WebSocketConversation) {}
    func drained(_ peer: WebSocketConversation) {}
    func isAloft(_ peer: WebSocketConversation) -> Bool { false }
    func closed(_ peer: WebSocketConversation) {}
    var parkingName: String? { "echo" }
}
