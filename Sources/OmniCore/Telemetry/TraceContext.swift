/// Where a request stands in a distributed trace: W3C Trace Context, `traceparent` and `tracestate`.
///
/// A value that does not follow the recommendation is ignored as a whole, as it demands (§4.3): a
/// wrong parent would tie foreign traces together.
public struct TraceContext: Hashable, Sendable {
    public struct TraceID: Hashable, Sendable {
        public let high: UInt64
        public let low: UInt64

        public init(high: UInt64, low: UInt64) {
            self.high = high
            self.low = low
        }

        /// All zeros means "none".
        public var isValid: Bool { high != 0 || low != 0 }
    }

    public var traceID: TraceID
    public var spanID: UInt64
    /// Bit 0: the caller records this trace.
    public var flags: UInt8
    /// Other systems' positions, passed on as they came.
    public var state: String

    public init(traceID: TraceID, spanID: UInt64, flags: UInt8, state: String = "") {
        self.traceID = traceID
        self.spanID = spanID
        self.flags = flags
        self.state = state
    }

    public var isSampled: Bool { flags & 1 != 0 }

    /// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. Nil for anything else; a later
    /// version may say more behind the flags (§3.2.1).
    public init?(parent: String, state: String? = nil) {
        let bytes = Array(parent.utf8)
        guard bytes.count >= 55, bytes.count == 55 || bytes[55] == UInt8(ascii: "-"),
            bytes[2] == UInt8(ascii: "-"), bytes[35] == UInt8(ascii: "-"),
            bytes[52] == UInt8(ascii: "-"),
            let version = Self.number(bytes[0..<2]), version != 0xFF,
            version != 0 || bytes.count == 55,
            let high = Self.number(bytes[3..<19]), let low = Self.number(bytes[19..<35]),
            let span = Self.number(bytes[36..<52]), let flags = Self.number(bytes[53..<55])
        else { return nil }
        let traceID = TraceID(high: high, low: low)
        guard traceID.isValid, span != 0 else { return nil }
        self.init(
            traceID: traceID, spanID: span, flags: UInt8(flags) & 1,
            state: state.flatMap(Self.accepted) ?? "")
    }

    public var parent: String {
        var text = ByteWriter(capacity: Self.parentSize)
        write(into: &text)
        return text.string()
    }

    /// The same as a JSON string.
    public var parentJSON: [UInt8] {
        var text = ByteWriter(capacity: Self.parentSize + 2)
        text.append("\"")
        write(into: &text)
        text.append("\"")
        return text.array()
    }

    private static let parentSize = 55

    private func write(into text: inout ByteWriter) {
        text.append("00-")
        text.append(sixteenDigits: traceID.high)
        text.append(sixteenDigits: traceID.low)
        text.append("-")
        text.append(sixteenDigits: spanID)
        text.append(isSampled ? "-01" : "-00")
    }

    public var spanText: String { Self.text(spanID) }

    /// The same trace, one step further down.
    public func child(spanID: UInt64) -> TraceContext {
        TraceContext(traceID: traceID, spanID: spanID, flags: flags, state: state)
    }

    /// §3.3.1.1: at most 32 members; what is longer than 512 bytes need not be passed on.
    private static func accepted(_ state: String) -> String? {
        guard (1...512).contains(state.utf8.count),
            state.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
            state.utf8.count(where: { $0 == UInt8(ascii: ",") }) < 32
        else { return nil }
        return state
    }

    /// Lower case only, as the recommendation wants.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }

    static func text(_ number: UInt64) -> String {
        var text = ByteWriter(capacity: 16)
        text.append(sixteenDigits: number)
        return text.string()
    }
}

extension TraceContext.TraceID {
    public var text: String {
        var text = ByteWriter(capacity: 32)
        text.append(sixteenDigits: high)
        text.append(sixteenDigits: low)
        return text.string()
    }
}

/// W3C Baggage: passed on as it came when its size is within the recommendation's (§3.3.2).
public enum Baggage {
    public static func accepted(_ text: String?) -> String? {
        guard let text, (1...8192).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { return nil }
        return text
    }
}
