internal import CShims.Curl
internal import CShims.Linux
public import OmniCore

/// HTTP/1.1 and HTTP/2 to other servers: libcurl's multi interface, driven by the ring.
///
/// libcurl says which sockets it watches and when it wants to be called; a `PollSet` and one timer
/// wait do that, and everything happens on the ring thread. Names are resolved on libcurl's own
/// threads. Connections are kept and shared by all requests of the client. It never follows a
/// redirect to another origin and sends a request again only if that is declared harmless.
///
/// `close` before letting go: two tasks of the client wait on the ring until then. `@safe`: the
/// handle is private and lives from `init` to `deinit`.
@safe
public final class HTTPClient {
    public struct Settings: Sendable {
        /// Requests at one time; beyond it `limitReached`.
        public var transfersMax = 4096
        /// Connections to one host; further requests wait in libcurl for one.
        public var connectionsPerHostMax = 256
        /// Idle connections kept, over all hosts.
        public var idleConnectionsMax = 64
        public var userAgent = "omni2-native"
        /// Connect to addresses of the public internet only, whatever a name resolves to: for URLs
        /// that come from somebody who must not reach our network through us.
        public var reachesPublicOnly = false
        public init() {}
    }

    public struct Statistics: Sendable, Equatable {
        public var requests = 0
        public var connectionsOpened = 0
        public var failures = 0
    }

    private static let redirectsMax = 3
    private static let idleHandlesMax = 64

    private let io: any IO
    private let settings: Settings
    private let multi: UnsafeMutableRawPointer
    private let sockets: PollSet
    /// By the address of libcurl's handle.
    private var transfers: [UInt: HTTPTransfer] = [:]
    @safe private var idleHandles = unsafe [UnsafeMutableRawPointer]()
    private var timerDeadline: MonotonicTime?
    private var timerTicket: WaitTicket?
    private var isRunning = false
    private var isClosed = false
    public private(set) var statistics = Statistics()
    /// Requests under way, those whose rest is being discarded included.
    public var transfersCount: Int { transfers.count }

    public init(io: any IO, settings: Settings = Settings()) throws(SystemError) {
        self.io = io
        self.settings = settings
        sockets = try PollSet()
        guard let multi = unsafe curl_multi_init() else { throw SystemError("curl_multi_init", 12) }
        unsafe self.multi = unsafe multi
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe omni2_curl_on_socket(multi, socketCallback, context)
        unsafe omni2_curl_on_timer(multi, timerCallback, context)
        unsafe omni2_curl_multi_number(
            multi, CURLMOPT_MAX_HOST_CONNECTIONS, settings.connectionsPerHostMax)
        unsafe omni2_curl_multi_number(multi, CURLMOPT_MAXCONNECTS, settings.idleConnectionsMax)
    }

    deinit {
        while let easy = unsafe idleHandles.popLast() { unsafe curl_easy_cleanup(easy) }
        for transfer in transfers.values {
            unsafe curl_multi_remove_handle(multi, transfer.easy)
            unsafe curl_easy_cleanup(transfer.easy)
        }
        unsafe curl_multi_cleanup(multi)
    }

    /// libcurl's version, for the journal.
    public static var version: String { unsafe String(cString: curl_version()) }

    /// Ends every request with `cancelled` and the client's tasks. Nothing can be sent afterwards.
    public func close() {
        isClosed = true
        for transfer in Array(transfers.values) { end(transfer, .cancelled) }
        sockets.wake()
        wakeTimer()
    }

    // MARK: Requests

    /// Sends a request and waits for the head of its response.
    ///
    /// - Throws: any `HTTPClientError`; a status of any kind is a response, not an error.
    public func send(
        _ request: HTTPClientRequest, until deadline: MonotonicTime,
        cancellation: HTTPCancellation? = nil
    ) async throws(HTTPClientError) -> HTTPClientResponse {
        var request = request
        var redirects = 0
        while true {
            let transfer = try await exchange(request, until: deadline, cancellation)
            guard redirects < Self.redirectsMax,
                let target = await redirect(of: transfer, for: request, until: deadline)
            else { return HTTPClientResponse(transfer, client: self) }
            redirects += 1
            request.url = target
            if transfer.status == 303 {
                request.method = "GET"
                request.body = nil
            }
        }
    }

    private func exchange(
        _ request: HTTPClientRequest, until deadline: MonotonicTime,
        _ cancellation: HTTPCancellation?
    ) async throws(HTTPClientError) -> HTTPTransfer {
        if isClosed || cancellation?.isCancelled == true { throw .cancelled }
        guard transfers.count < settings.transfersMax else { throw .limitReached }
        let transfer = unsafe HTTPTransfer(
            easy: try takeHandle(), io: io, isRepeatable: request.isRepeatable)
        do throws(HTTPClientError) {
            try HTTPRequestSetup(
                request, userAgent: settings.userAgent, publicOnly: settings.reachesPublicOnly
            ).apply(to: transfer)
        } catch {
            unsafe recycle(transfer.easy)
            throw error
        }
        begin(transfer)
        cancellation?.action = { self.end(transfer, .cancelled) }
        while transfer.state == .waitingForHead {
            if await transfer.change(until: deadline) { continue }
            let phase = phase(of: transfer)
            end(transfer, .timedOut(phase))
            throw .timedOut(phase)
        }
        // A response that was short has ended already; only a failure is thrown here.
        if case .ended(let error?) = transfer.state, transfer.status == 0 || !transfer.hasBody {
            throw error
        }
        return transfer
    }

    /// Where to go instead, if that is the same origin and the method allows it.
    private func redirect(
        of transfer: HTTPTransfer, for request: HTTPClientRequest, until deadline: MonotonicTime
    ) async -> String? {
        let isSafe = request.method == "GET" || request.method == "HEAD"
        switch transfer.status {
        case 303, 307, 308: break
        case 301, 302: if !isSafe { return nil }
        default: return nil
        }
        // libcurl resolves the location when the response has ended; its body says nothing to us.
        transfer.isDiscarding = true
        while transfer.state == .receivingBody {
            guard await transfer.change(until: deadline) else {
                end(transfer, .timedOut(.body))
                return nil
            }
        }
        guard let target = transfer.redirectTarget, let origin = HTTPOrigin(target),
            origin == HTTPOrigin(request.url)
        else { return nil }
        return target
    }

    private func phase(of transfer: HTTPTransfer) -> HTTPClientError.Phase {
        let sentAfter = unsafe omni2_curl_size_info(transfer.easy, CURLINFO_PRETRANSFER_TIME_T)
        return sentAfter > 0 ? .firstByte : .connect
    }

    // MARK: Transfers

    private func takeHandle() throws(HTTPClientError) -> UnsafeMutableRawPointer {
        if let easy = unsafe idleHandles.popLast() { return unsafe easy }
        guard let easy = unsafe curl_easy_init() else { throw .limitReached }
        return unsafe easy
    }

    private func recycle(_ easy: UnsafeMutableRawPointer) {
        guard unsafe idleHandles.count < Self.idleHandlesMax else {
            unsafe curl_easy_cleanup(easy)
            return
        }
        unsafe curl_easy_reset(easy)
        unsafe idleHandles.append(easy)
    }

    private func begin(_ transfer: HTTPTransfer) {
        startTasks()
        statistics.requests += 1
        transfers[transfer.key] = transfer
        unsafe curl_multi_add_handle(multi, transfer.easy)
        drive(CURL_SOCKET_TIMEOUT, 0)
    }

    /// Takes a transfer out of libcurl, finished or not.
    func end(_ transfer: HTTPTransfer, _ error: HTTPClientError?) {
        // The handle of a transfer that has ended may be another one's by now.
        guard transfers[transfer.key] === transfer else { return }
        transfers[transfer.key] = nil
        statistics.connectionsOpened += max(
            0, unsafe omni2_curl_long_info(transfer.easy, CURLINFO_NUM_CONNECTS))
        if error != nil && error != .cancelled { statistics.failures += 1 }
        if let target = unsafe omni2_curl_text_info(transfer.easy, CURLINFO_REDIRECT_URL) {
            transfer.redirectTarget = unsafe String(cString: target)
        }
        unsafe curl_multi_remove_handle(multi, transfer.easy)
        unsafe recycle(transfer.easy)
        transfer.end(error)
    }

    /// Lets a paused transfer go on.
    func resume(_ transfer: HTTPTransfer) {
        guard transfers[transfer.key] === transfer else { return }
        unsafe curl_easy_pause(transfer.easy, CURLPAUSE_CONT)
        drive(CURL_SOCKET_TIMEOUT, 0)
    }

    func discard(_ transfer: HTTPTransfer, until deadline: MonotonicTime) {
        transfer.isDiscarding = true
        if transfer.takePause() { resume(transfer) }
        io.spawn {
            while transfer.state == .receivingBody {
                if await transfer.change(until: deadline) == false { break }
            }
            self.end(transfer, .cancelled)
        }
    }

    // MARK: Driving libcurl

    private func startTasks() {
        if isRunning { return }
        isRunning = true
        io.spawn { await self.watchSockets() }
        io.spawn { await self.watchTimer() }
    }

    private func watchSockets() async {
        while !isClosed {
            for event in await sockets.next(io) where !isClosed {
                var what: Int32 = 0
                if !event.readiness.isDisjoint(with: [.readable, .hungUp]) {
                    what |= CURL_CSELECT_IN
                }
                if event.readiness.contains(.writable) { what |= CURL_CSELECT_OUT }
                if event.readiness.contains(.failed) { what |= CURL_CSELECT_ERR }
                drive(Int32(bitPattern: event.tag), what)
            }
        }
    }

    private func watchTimer() async {
        while !isClosed {
            if let deadline = timerDeadline, deadline <= io.now {
                timerDeadline = nil
                drive(CURL_SOCKET_TIMEOUT, 0)
                continue
            }
            let ticket = io.makeTicket()
            timerTicket = ticket
            _ = await io.wait(for: ticket, until: timerDeadline ?? .distantFuture)
            timerTicket = nil
        }
    }

    private func wakeTimer() {
        guard let ticket = timerTicket else { return }
        timerTicket = nil
        io.wake(ticket)
    }

    /// Tells libcurl what happened and ends the transfers it has finished.
    private func drive(_ socket: Int32, _ what: Int32) {
        var running: Int32 = 0
        unsafe curl_multi_socket_action(multi, socket, what, &running)
        var code = CURLE_OK
        while let easy = unsafe omni2_curl_finished(multi, &code) {
            guard let transfer = transfers[UInt(bitPattern: easy)] else { continue }
            end(transfer, code == CURLE_OK ? nil : transfer.failure(code))
        }
    }

    /// libcurl watches a socket, changes what for, or lets it go.
    fileprivate func watch(_ socket: Int32, _ what: Int32) {
        if what == CURL_POLL_REMOVE { return sockets.forget(socket) }
        var events: Readiness = []
        if what & CURL_POLL_IN != 0 { events.insert(.readable) }
        if what & CURL_POLL_OUT != 0 { events.insert(.writable) }
        do throws(SystemError) {
            try sockets.watch(socket, events, tag: UInt32(bitPattern: socket))
        } catch {
            // Out of kernel memory for the set: the transfer runs into its deadline, which the
            // caller hears of as a time-out.
        }
    }

    fileprivate func setTimer(_ milliseconds: Int) {
        guard milliseconds >= 0 else {
            timerDeadline = nil
            return
        }
        let deadline = io.now + .milliseconds(milliseconds)
        let isEarlier = timerDeadline.map { deadline < $0 } ?? true
        timerDeadline = deadline
        // A wait that ends too early looks again by itself.
        if isEarlier { wakeTimer() }
    }
}

private func socketCallback(
    _ easy: UnsafeMutableRawPointer?, _ socket: Int32, _ what: Int32,
    _ context: UnsafeMutableRawPointer?, _ mine: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context = unsafe context else { return 0 }
    unsafe Unmanaged<HTTPClient>.fromOpaque(context).takeUnretainedValue().watch(socket, what)
    return 0
}

private func timerCallback(
    _ multi: UnsafeMutableRawPointer?, _ milliseconds: Int, _ context: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context = unsafe context else { return 0 }
    unsafe Unmanaged<HTTPClient>.fromOpaque(context).takeUnretainedValue().setTimer(milliseconds)
    return 0
}
