/// Pages over a merged list, with cursors that mean nothing to the client.
///
/// A cursor names the position and the version of the list it was made for. When the list changed
/// in between, it is refused: a page out of another list could repeat or skip entries unnoticed.
public struct ListPage: Hashable, Sendable {
    public var range: Range<Int>
    public var nextCursor: String?

    /// - Parameters:
    ///   - version: changes with the list, and differs between callers who see different lists.
    /// - Throws: -32602 for a cursor that is not ours or of another version.
    public static func page(
        of count: Int, sizeMax: Int, version: UInt64, cursor: String?
    ) throws(RPCFailure) -> ListPage {
        precondition(sizeMax > 0, "a page holds something")
        var start = 0
        if let cursor {
            guard let position = Self.position(of: cursor, version: version), position < count
            else {
                throw RPCFailure(.invalidParams, .badCursor)
            }
            start = position
        }
        let end = min(start + sizeMax, count)
        let next = end < count ? Self.cursor(at: end, version: version) : nil
        return ListPage(range: start..<end, nextCursor: next)
    }

    private static func cursor(at position: Int, version: UInt64) -> String {
        let check = SplitMix64.mix(version ^ UInt64(position) &* 0x9E37_79B9_7F4A_7C15)
        return String(position, radix: 36) + "." + String(check, radix: 36)
    }

    private static func position(of cursor: String, version: UInt64) -> Int? {
        guard let dot = cursor.utf8.firstIndex(of: UInt8(ascii: ".")), cursor.utf8.count <= 32,
            let position = Int(cursor[..<dot], radix: 36), position > 0,
            Self.cursor(at: position, version: version) == cursor
        else { return nil }
        return position
    }
}

/// Follows `nextCursor` of an upstream without ever walking for ever.
public struct ListWalk: Sendable {
    public enum Step: Hashable, Sendable {
        /// Ask for the next page with this cursor (decoded).
        case next(String)
        case done
        /// The server repeats a cursor or has more pages than we follow: keep what came.
        case givenUp
    }

    private let pagesMax: Int
    private var pages = 0
    private var seen: Set<String> = []

    public init(pagesMax: Int = 100) { self.pagesMax = pagesMax }

    public mutating func received(nextCursor: String?) -> Step {
        pages += 1
        guard let nextCursor else { return .done }
        guard pages < pagesMax, seen.insert(nextCursor).inserted else { return .givenUp }
        return .next(nextCursor)
    }
}
