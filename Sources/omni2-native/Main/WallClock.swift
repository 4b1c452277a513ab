import OmniCore
import OmniIO

/// The calendar's time as the turn read it, and the texts made from it once per second.
final class WallClock {
    private let io: any IO
    private var second: Int64 = -1
    private var text: [UInt8] = []

    init(_ io: any IO) { self.io = io }

    var now: WallTime {
        WallTime(nanosecondsSince1970: Int64(io.wallMicroseconds) * 1000)
    }

    /// For the Date header (RFC 9110 §5.6.7).
    var date: [UInt8] {
        let now = now
        if now.secondsSince1970 != second {
            second = now.secondsSince1970
            text = Array(now.httpText.utf8)
        }
        return text
    }
}

/// Names for requests whose client gave none: unguessable start, then counted.
final class RequestIDs {
    private let prefix: String
    private var count: UInt64 = 0

    init() {
        var writer = ByteWriter(capacity: 32)
        Digest.random(6).withRawSpan { Hex.encode($0, into: &writer) }
        prefix = "req-" + writer.string() + "-"
    }

    func next() -> String {
        count += 1
        return prefix + String(count, radix: 36)
    }
}
