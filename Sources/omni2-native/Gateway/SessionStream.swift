import OmniCore
import OmniIO

/// One event stream of a session: that of a request, or the one on which we speak first.
///
/// It outlives its connection: a client that lost it comes back with the id of the last event it saw
/// and gets the rest. What it keeps for that is bounded; what has gone out of it is lost.
final class SessionStream {
    let number: Int
    private var exchange: HTTPExchange?
    private var events: [(sequence: Int, text: [UInt8])] = []
    private var eventBytes = 0
    private(set) var sequence: Int
    /// Nothing more will be said.
    private(set) var isEnded = false
    /// Since when nobody reads it.
    private(set) var abandonedAt: MonotonicTime?
    private let io: any IO

    private static let eventsMax = 256
    private static let bytesMax = 1 << 20
    /// A client that takes nothing for so much is cut off; it may come back for the rest.
    private static let pendingMax = 4 << 20

    /// `sequence` is the number of the last event, when a predecessor began to speak here.
    init(number: Int, io: any IO, sequence: Int = 0) {
        self.number = number
        self.sequence = sequence
        self.io = io
    }

    var isAttached: Bool { exchange?.isOpen ?? false }

    /// Begins to speak on this exchange, after the last event the client has seen; `primes` sends an
    /// id without data first, so that there is something to come back with.
    func attach(_ exchange: HTTPExchange, after seen: Int?, primes: Bool) {
        let old = self.exchange
        goOn(with: exchange)
        old?.endStream()
        exchange.beginStream(MCPEndpoint.eventStream())
        let missed = seen.map { seen in events.filter { $0.sequence > seen } } ?? []
        if missed.isEmpty { exchange.stream(primes ? primer() : EventText.keepAlive) }
        for event in missed { exchange.stream(event.text) }
        if isEnded { finish() }
    }

    /// Speaks on this exchange, where a stream has begun already.
    func goOn(with exchange: HTTPExchange) {
        self.exchange = exchange
        abandonedAt = nil
        exchange.abandoned = { [weak self, weak exchange] in
            guard let self, self.exchange === exchange else { return }
            self.exchange = nil
            self.abandonedAt = self.io.now
        }
    }

    func send(_ json: [UInt8]) {
        guard !isEnded else { return }
        sequence += 1
        let text = EventText.message(json, id: "\(number)-\(sequence)")
        keep(text)
        guard let exchange, exchange.isOpen else { return }
        exchange.stream(text)
        guard exchange.pendingBytes > Self.pendingMax else { return }
        self.exchange = nil
        abandonedAt = io.now
        exchange.endStream()
    }

    /// The last word.
    func end() {
        isEnded = true
        finish()
    }

    func keepAlive() { if isAttached { exchange?.stream(EventText.keepAlive) } }

    private func finish() {
        let old = exchange
        exchange = nil
        if old != nil { abandonedAt = io.now }
        old?.endStream()
    }

    private func primer() -> [UInt8] { Array("id: \(number)-\(sequence)\ndata:\n\n".utf8) }

    private func keep(_ text: [UInt8]) {
        events.append((sequence, text))
        eventBytes += text.count
        var gone = 0
        while events.count - gone > Self.eventsMax || eventBytes > Self.bytesMax {
            guard gone < events.count else { break }
            eventBytes -= events[gone].text.count
            gone += 1
        }
        if gone > 0 { events.removeFirst(gone) }
    }
}

/// Server-sent events around JSON-RPC messages.
enum EventText {
    static func message(_ json: [UInt8], id: String? = nil) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(json.count + 48)
        if let id {
            text.append(contentsOf: "id: ".utf8)
            text.append(contentsOf: id.utf8)
            text.append(10)
        }
        text.append(contentsOf: "event: message\ndata: ".utf8)
        let start = text.count
        text.append(contentsOf: json)
        // JSON on one line: a line break inside would end the data.
        for index in start..<text.count where text[index] == 10 || text[index] == 13 {
            text[index] = 32
        }
        text.append(contentsOf: "\n\n".utf8)
        return text
    }

    /// Keeps proxies from closing a quiet stream.
    static let keepAlive = Array(": keep-alive\n\n".utf8)
}
