/// A password, token or key. It prints as asterisks wherever it ends up by accident: a log field,
/// an interpolation, a dump, a test failure. Only `revealed` gives the text.
public struct Secret: Sendable, Hashable {
    public static let mask = "********"

    /// The text itself. Every use is a place to look at in a review.
    public let revealed: String

    public init(_ revealed: String) { self.revealed = revealed }

    public var isEmpty: Bool { revealed.isEmpty }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { Self.mask }
    public var debugDescription: String { Self.mask }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
