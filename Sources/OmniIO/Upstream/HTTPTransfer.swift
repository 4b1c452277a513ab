internal import CShims.Curl
internal import CShims.Linux
internal import OmniCore

/// One request under way: libcurl's handle, what came of the response, and who waits for it.
///
/// libcurl calls back while `HTTPClient` drives it, always on the ring thread; the callbacks only
/// store bytes and wake the waiter. Memory is bounded: a reader that lags pauses the transfer.
/// `@safe`: the pointers are private to the pair transfer and client, which frees them at the end.
@safe
final class HTTPTransfer {
    enum State: Equatable {
        case waitingForHead
        case receivingBody
        /// Nil: the response came whole.
        case ended(HTTPClientError?)
    }

    /// Header bytes a response may have.
    static let headBytesMax = 64 << 10

    let easy: UnsafeMutableRawPointer
    private let io: any IO
    private(set) var state = State.waitingForHead
    private(set) var status = 0
    private(set) var headers: [HTTPClientRequest.Header] = []
    private var headBytes = 0
    private var body: [UInt8] = []
    /// Bytes kept for a reader that lags; beyond it the transfer pauses.
    var bufferBytesMax = 256 << 10
    /// Beyond it the transfer fails.
    var bodyBytesMax = Int.max
    private var bodyBytes = 0
    private var isPaused = false
    /// Nobody reads any more: bytes are dropped, so that the connection can be used again.
    var isDiscarding = false
    private var waiter: WaitTicket?
    private var sendings = 0
    private let isRepeatable: Bool
    /// Said by a callback that refuses to go on; more precise than libcurl's code.
    private var refusal: HTTPClientError?
    /// Where a 3xx response points, once it has ended.
    var redirectTarget: String?
    /// libcurl's own words about a failure.
    let errorText: UnsafeMutablePointer<CChar>
    var headerList: UnsafeMutablePointer<curl_slist>?

    init(easy: UnsafeMutableRawPointer, io: any IO, isRepeatable: Bool) {
        unsafe self.easy = unsafe easy
        self.io = io
        self.isRepeatable = isRepeatable
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        unsafe errorText.deallocate()
        unsafe curl_slist_free_all(headerList)
    }

    var key: UInt { unsafe UInt(bitPattern: easy) }

    // MARK: Called back by libcurl

    /// False ends the transfer.
    func received(headerLine line: UnsafeRawBufferPointer) -> Bool {
        headBytes += line.count
        if headBytes > Self.headBytesMax {
            refusal = .protocolError("response head over \(Self.headBytesMax) bytes")
            return false
        }
        // Trailers come after the body; nothing of ours reads them.
        guard state == .waitingForHead else { return true }
        var line = unsafe line[...]
        while let last = unsafe line.last, last == 13 || last == 10 {
            unsafe line = unsafe line.dropLast()
        }
        // By bytes: as text every line would be taken apart into characters.
        if unsafe line.isEmpty {
            endHead()
        } else if unsafe line.starts(with: "HTTP/".utf8) {
            headers.removeAll(keepingCapacity: true)
            unsafe status = Self.status(of: line)
        } else if let colon = unsafe line.firstIndex(of: UInt8(ascii: ":")) {
            let name = unsafe String(
                decoding: line[..<colon].map { $0 &- 65 < 26 ? $0 | 0x20 : $0 }, as: UTF8.self)
            var value = unsafe line[(colon + 1)...]
            while let first = unsafe value.first, first == 0x20 || first == 9 {
                unsafe value = unsafe value.dropFirst()
            }
            while let last = unsafe value.last, last == 0x20 || last == 9 {
                unsafe value = unsafe value.dropLast()
            }
            unsafe headers.append(.init(name, String(decoding: value, as: UTF8.self)))
        }
        return true
    }

    /// The number after the first space of a status line; 0 when there is none.
    private static func status(of line: Slice<UnsafeRawBufferPointer>) -> Int {
        guard let space = unsafe line.firstIndex(of: 0x20) else { return 0 }
        let digits = unsafe line[(space + 1)...].prefix { $0 >= 48 && $0 <= 57 }
        return unsafe digits.count > 9 ? 0 : digits.reduce(0) { $0 * 10 + Int($1) - 48 }
    }

    private func endHead() {
        // 1xx answers precede the real one.
        guard status >= 200 || status == 101 else { return }
        state = .receivingBody
        wake()
    }

    enum Acceptance { case taken, paused, refused }

    func received(body bytes: UnsafeRawBufferPointer) -> Acceptance {
        if isDiscarding { return .taken }
        if bodyBytes + bytes.count > bodyBytesMax {
            refusal = .tooLarge(bytesMax: bodyBytesMax)
            return .refused
        }
        if !body.isEmpty && body.count + bytes.count > bufferBytesMax {
            isPaused = true
            return .paused
        }
        bodyBytes += bytes.count
        unsafe body.append(contentsOf: bytes)
        wake()
        return .taken
    }

    /// Called before each time the request goes out; false refuses it.
    func mayBeSent() -> Bool {
        sendings += 1
        if sendings == 1 || isRepeatable { return true }
        refusal = .reset("the connection ended before an answer came")
        return false
    }

    var hasBeenSent: Bool { sendings > 0 }

    // MARK: Called by the client

    func end(_ error: HTTPClientError?) {
        if case .ended = state { return }
        state = .ended(error == nil ? nil : refusal ?? error)
        wake()
    }

    private func wake() {
        guard let ticket = waiter else { return }
        waiter = nil
        io.wake(ticket)
    }

    /// Waits for the next change; false when the deadline came first.
    func change(until deadline: MonotonicTime) async -> Bool {
        precondition(waiter == nil, "a response has one reader")
        let ticket = io.makeTicket()
        waiter = ticket
        let isWoken = await io.wait(for: ticket, until: deadline)
        if !isWoken { waiter = nil }
        return isWoken
    }

    var hasBody: Bool { !body.isEmpty }

    /// What has come so far. True in `mayGoOn` when the transfer had paused and wants to be resumed.
    func takeBody() -> (bytes: [UInt8], mayGoOn: Bool) {
        let bytes = body
        body = []
        defer { isPaused = false }
        return (bytes, isPaused)
    }

    func takePause() -> Bool {
        defer { isPaused = false }
        return isPaused
    }
}
