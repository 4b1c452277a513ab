import OmniCore

/// How long a server took to answer its last checks, oldest first; nil where it did not.
///
/// What dashboards draw. In memory alone: the health log has the rest.
struct RecentLatencies {
    /// At 30 seconds between checks, half an hour.
    static let countMax = 60

    private var milliseconds: [Double?] = []

    mutating func append(_ time: Duration?) {
        if milliseconds.count == Self.countMax { milliseconds.removeFirst() }
        milliseconds.append(time.map { ($0 / .microseconds(10)).rounded() / 100 })
    }

    var json: JSONValue {
        .array(milliseconds.map { $0.map { JSONValue.double($0) } ?? .null })
    }
}
