import OmniCore
import OmniIO

/// HTTP/1.1 with one peer: reads requests one after the other, answers each before the next.
///
/// Requests that arrive early (pipelining) wait in `input`; when that is full the connection stops
/// receiving. Every state has a deadline: idle, head, body, a client that does not read.
final class HTTPConversation: ConversationOpening {
    struct Limits {
        var http = HTTPLimits()
        /// From the first byte of a request to the end of its head: 408.
        var headTime = Duration.seconds(10)
        /// From there to the end of its body: 408.
        var bodyTime = Duration.seconds(30)
        /// Between two requests: the connection closes.
        var idleTime = Duration.seconds(75)
        /// An answer of which the client takes nothing for so long is given up.
        var sendTime = Duration.seconds(30)
        /// Early requests kept while one is being answered.
        var earlyBytesMax = 64 << 10
    }

    /// What conversations share.
    final class Shared {
        let limits: Limits
        /// Answers the exchange, now or later.
        let handle: (HTTPExchange) -> Void
        let makeRequestID: () -> String
        /// The exchange is over, answered or not.
        let ended: (HTTPExchange) -> Void
        /// The value of the Date header, made once per second.
        let date: () -> [UInt8]

        init(
            limits: Limits, makeRequestID: @escaping () -> String, date: @escaping () -> [UInt8],
            ended: @escaping (HTTPExchange) -> Void = { _ in },
            handle: @escaping (HTTPExchange) -> Void
        ) {
            self.limits = limits
            self.makeRequestID = makeRequestID
            self.date = date
            self.ended = ended
            self.handle = handle
        }
    }

    /// What exists only while a request is being read.
    private final class Reading {
        var parser = HTTPRequestParser()
        var head = HTTPRequestHead()
        var body: [UInt8] = []
        var hasHead = false
    }

    let shared: Shared
    private(set) var input: [UInt8] = []
    private var reading: Reading?
    private(set) var exchange: HTTPExchange?
    /// Requests are taken from `input` in a loop; an answer given inside it does not recurse.
    private var isReadingRequests = false
    private var isStopping = false
    /// The connection speaks something else by now, here or on another ring.
    private var hasLeft = false

    /// Asked of the kernel once, when first wanted.
    private var knownPeer: SocketAddress?

    init(_ shared: Shared) { self.shared = shared }

    func peerAddress(on connection: Connection) -> SocketAddress? {
        if knownPeer == nil { knownPeer = connection.peerAddress }
        return knownPeer
    }

    func opened(on connection: Connection) {
        connection.setDeadline(connection.io.now + shared.limits.headTime)
    }

    // MARK: Conversation

    func received(_ bytes: UnsafeMutableRawBufferPointer, on connection: Connection) {
        unsafe input.append(contentsOf: bytes)
        if exchange == nil {
            readRequests(on: connection)
        } else if input.count > shared.limits.earlyBytesMax {
            connection.pauseReceiving()
        }
    }

    func peerEnded(on connection: Connection) {
        // A stream has no end the client could wait for; a single answer may still be read.
        switch exchange?.state {
        case .awaitingAnswer: if exchange?.isCancelledByPeer == true { connection.abort() }
        case .streaming: connection.abort()
        case .answered, .abandoned, nil: connection.finish()
        }
    }

    func drained(on connection: Connection) {
        guard let exchange, case .streaming = exchange.state else { return }
        exchange.drained()
    }

    func deadlinePassed(on connection: Connection) {
        if exchange != nil {
            // The answer is being made, or the client reads slowly but does read.
            if connection.pendingBytes == 0 || progressed(connection) {
                watchSending(connection)
            } else {
                connection.abort()
            }
        } else if let reading {
            let what = reading.hasHead ? "body" : "head"
            refuse(
                .requestTimeout, "The \(what) of the request did not arrive in time.", connection)
        } else {
            connection.finish()
        }
    }

    func stopping(on connection: Connection) {
        isStopping = true
        switch exchange?.state {
        case .awaitingAnswer: break
        case .streaming: exchange?.endStream()
        case .answered, .abandoned, nil: connection.finish()
        }
    }

    func ended(on connection: Connection) {
        let exchange = exchange
        self.exchange = nil
        exchange?.abandon()
    }

    // MARK: Reading

    private func readRequests(on connection: Connection) {
        if isReadingRequests || connection.isParked { return }
        isReadingRequests = true
        defer { isReadingRequests = false }
        while exchange == nil, connection.isOpen, !input.isEmpty {
            let reading = reading ?? beginRequest(connection)
            do throws(HTTPError) {
                guard try readRequest(reading, connection) else { return }
            } catch {
                return refuse(error.status, error.message, connection)
            }
        }
        if exchange == nil, input.isEmpty, connection.isOpen, !hasLeft {
            connection.setDeadline(connection.io.now + shared.limits.idleTime)
        }
    }

    private func beginRequest(_ connection: Connection) -> Reading {
        let reading = Reading()
        self.reading = reading
        connection.setDeadline(connection.io.now + shared.limits.headTime)
        return reading
    }

    /// True when a request was complete and has been handed to its handler.
    private func readRequest(
        _ reading: Reading, _ connection: Connection
    ) throws(HTTPError) -> Bool {
        while true {
            let step = try input.withRawSpan { bytes throws(HTTPError) in
                try reading.parser.next(
                    in: bytes, limits: shared.limits.http, head: &reading.head)
            }
            switch step {
            case .needMore: return false
            case .head:
                reading.hasHead = true
                connection.setDeadline(connection.io.now + shared.limits.bodyTime)
                if reading.head.expectsContinue { connection.send(Self.goOn) }
            case .body(let range):
                reading.body += input[range.range]
            case .complete:
                dispatch(reading, connection)
                return true
            }
        }
    }

    private func dispatch(_ reading: Reading, _ connection: Connection) {
        let consumed = reading.parser.consumed
        let bytes: [UInt8]
        if consumed == input.count {
            bytes = input
            input = []
        } else {
            bytes = Array(input[..<consumed])
            input.removeFirst(consumed)
        }
        self.reading = nil
        let request = HTTPRequest(bytes: bytes, head: reading.head, body: reading.body)
        let exchange = HTTPExchange(
            request, requestID: requestID(of: request), on: connection, self)
        self.exchange = exchange
        watchSending(connection)
        shared.handle(exchange)
    }

    /// A client's own id is kept when it is short and harmless in a log.
    private func requestID(of request: HTTPRequest) -> String {
        if let given = request.header("X-Request-ID"), (1...128).contains(given.utf8.count),
            given.utf8.allSatisfy({ $0.isIdentifierCharacter })
        {
            return given
        }
        return shared.makeRequestID()
    }

    /// An answer that goes on forever, taken over from a predecessor together with its connection.
    func goOn(with exchange: HTTPExchange, on connection: Connection) {
        self.exchange = exchange
        watchSending(connection)
    }

    // MARK: Answering (called by the exchange)

    /// Status line and headers. `writer` knows the request's version and how the body is framed.
    func writeHead(
        _ response: HTTPResponse, _ writer: inout HTTPResponseWriter,
        _ body: HTTPResponseWriter.Body, requestID: String?, on connection: Connection
    ) {
        let extra = response.headers.reduce(0) { $0 + $1.byteCount }
        var head = ByteWriter(capacity: 512 + extra)
        writer.begin(response.status, into: &head)
        writer.date(unsafe shared.date().span.bytes, into: &head)
        if let type = response.contentType { writer.header("Content-Type", type, into: &head) }
        for header in response.headers { writer.header(header.name, header.value, into: &head) }
        if let requestID { writer.header("X-Request-ID", requestID, into: &head) }
        writer.end(body, into: &head)
        precondition(!head.hasOverflowed, "a response head was larger than its parts")
        head.withBytes { connection.send($0) }
    }

    func ended(_ exchange: HTTPExchange) { shared.ended(exchange) }

    func streamBegan(on connection: Connection) {
        // Half a stream is not a request any more: it lives as long as both sides want it.
        watchSending(connection)
    }

    func answered(keepsAlive: Bool, on connection: Connection) {
        exchange = nil
        guard keepsAlive, !isStopping, !connection.hasPeerEnded else { return connection.finish() }
        if connection.isParked { return connection.setDeadline(nil) }
        connection.setDeadline(connection.io.now + shared.limits.idleTime)
        connection.resumeReceiving()
        readRequests(on: connection)
    }

    func upgraded(to successor: any Conversation, on connection: Connection) {
        exchange = nil
        hasLeft = true
        connection.setDeadline(nil)
        connection.converse(successor)
        (successor as? any ConversationOpening)?.opened(on: connection)
        guard !input.isEmpty else { return }
        var early = input
        input = []
        unsafe early.withUnsafeMutableBytes { bytes in
            unsafe successor.received(bytes, on: connection)
        }
    }

    func departing(on connection: Connection, _ left: @escaping ((Int32, [UInt8])?) -> Void) {
        exchange = nil
        hasLeft = true
        connection.setDeadline(connection.io.now + shared.limits.sendTime)
        let early = input
        input = []
        connection.depart(Departure(early: early, left: left))
    }

    private func refuse(_ status: HTTPStatus, _ message: String, _ connection: Connection) {
        reading = nil
        input = []
        let response = HTTPResponse.failure(status, message)
        var writer = HTTPResponseWriter(keepsAlive: false)
        writeHead(response, &writer, .count(response.body.count), requestID: nil, on: connection)
        connection.send(response.body)
        connection.finish()
        connection.setDeadline(connection.io.now + shared.limits.sendTime)
    }

    // MARK: A client that does not read

    private var pendingBefore = 0

    private func watchSending(_ connection: Connection) {
        pendingBefore = connection.pendingBytes
        connection.setDeadline(connection.io.now + shared.limits.sendTime)
    }

    private func progressed(_ connection: Connection) -> Bool {
        connection.pendingBytes < pendingBefore
    }

    private static let goOn = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
}

extension HTTPResponse.Header {
    fileprivate var byteCount: Int { name.utf8CodeUnitCount + value.utf8.count + 4 }
}

extension UInt8 {
    /// Letters, digits and `-._~`: harmless in headers, logs and URLs.
    fileprivate var isIdentifierCharacter: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
