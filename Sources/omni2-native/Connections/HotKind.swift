import OmniIO

/// What a hot completion is about: the `kind` of its token.
enum HotKind: UInt8 {
    /// Slot: index of the listener.
    case accept = 16
    /// Slot and generation: the connection.
    case receive
    case send
    case deadline
    /// Accepting went wrong; the listener tries again. Slot: its index.
    case acceptAgain
    /// The hub's clock. Slot: one of `HubClock`.
    case hub
    /// A window of the event log. Slot and generation: the subscriber's row.
    case flight

    func token(_ generation: UInt32 = 0, _ slot: UInt32 = 0) -> CompletionToken {
        CompletionToken(kind: rawValue, generation: generation, slot: slot)
    }
}
