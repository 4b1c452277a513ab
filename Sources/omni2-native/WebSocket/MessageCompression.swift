import OmniCore
import OmniIO

/// zlib for all WebSocket connections of a ring.
///
/// No context is kept between messages, so one deflater per window size serves every connection.
/// A message that arrives in several frames holds an inflater while it does; there are `inflatersMax`.
final class MessageCompression {
    /// Shorter messages are sent as they are.
    static let bytesMin = 256
    private static let pieceBytes = 16 << 10
    /// Room for results that is kept between messages.
    private static let scratchBytesKept = 64 << 10

    private let inflatersMax: Int
    private var inflatersLent = 0
    private var spareInflaters: [Inflater] = []
    private var deflaters: [Deflater?] = Array(repeating: nil, count: 16)
    private var scratch: [UInt8] = []
    private var piece: [UInt8] = []

    init(inflatersMax: Int = 256) { self.inflatersMax = inflatersMax }

    // MARK: Out

    /// Calls `body` with the message deflated; false when that is no gain or there is no memory.
    func deflated(_ message: RawSpan, windowBits: Int, _ body: (RawSpan) -> Void) -> Bool {
        guard message.byteCount >= Self.bytesMin, let deflater = deflater(windowBits) else {
            return false
        }
        let room = Deflater.room(for: message.byteCount)
        if scratch.count < room { scratch = Array(repeating: 0, count: room) }
        defer { if scratch.count > Self.scratchBytesKept { scratch = [] } }
        let count = unsafe scratch.withUnsafeMutableBytes {
            unsafe deflater.message(message, into: $0)
        }
        guard let count, count < message.byteCount else { return false }
        scratch.withRawSpan { body($0.extracting(first: count)) }
        return true
    }

    private func deflater(_ windowBits: Int) -> Deflater? {
        if let deflater = deflaters[windowBits] { return deflater }
        do throws(SystemError) {
            let deflater = try Deflater(windowBits: windowBits)
            deflaters[windowBits] = deflater
            return deflater
        } catch {
            // Out of memory: the message goes uncompressed, which is always allowed.
            return nil
        }
    }

    // MARK: In

    /// For a new message; nil when too many are under way.
    func takeInflater() -> Inflater? {
        guard inflatersLent < inflatersMax else { return nil }
        guard let inflater = spareInflaters.popLast() ?? makeInflater() else { return nil }
        inflatersLent += 1
        inflater.begin()
        return inflater
    }

    func giveBack(_ inflater: Inflater) {
        inflatersLent -= 1
        if spareInflaters.count < 4 { spareInflaters.append(inflater) }
    }

    private func makeInflater() -> Inflater? {
        do throws(SystemError) {
            return try Inflater()
        } catch {
            // Out of memory is answered as "too many".
            return nil
        }
    }

    enum Inflated {
        case complete
        case invalid
        /// `body` wants no more.
        case stopped
    }

    /// Inflates a part of a message and calls `body` with each piece of the result; the last piece
    /// of the message says so. `body` returns false to stop.
    func inflate(
        _ part: RawSpan, isLast: Bool, with inflater: Inflater, _ body: (RawSpan, Bool) -> Bool
    ) -> Inflated {
        if piece.isEmpty { piece = Array(repeating: 0, count: Self.pieceBytes) }
        switch feed(part, endsMessage: false, inflater, body) {
        case .complete: break
        case let other: return other
        }
        guard isLast else { return .complete }
        return Self.tail.withRawSpan { feed($0, endsMessage: true, inflater, body) }
    }

    private func feed(
        _ input: RawSpan, endsMessage: Bool, _ inflater: Inflater, _ body: (RawSpan, Bool) -> Bool
    ) -> Inflated {
        var position = 0
        while true {
            let step = unsafe piece.withUnsafeMutableBytes {
                unsafe inflater.inflate(input, position: &position, into: $0)
            }
            switch step {
            case .invalid: return .invalid
            case .more(let count):
                guard piece.withRawSpan({ body($0.extracting(first: count), false) }) else {
                    return .stopped
                }
            case .done(let count):
                guard count > 0 || endsMessage else { return .complete }
                let goesOn = piece.withRawSpan { body($0.extracting(first: count), endsMessage) }
                return goesOn ? .complete : .stopped
            }
        }
    }

    /// What a sender takes away from the end of its flush (RFC 7692 §7.2.2).
    private static let tail: [UInt8] = [0, 0, 0xFF, 0xFF]
}
