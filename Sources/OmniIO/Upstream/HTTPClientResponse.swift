public import OmniCore

/// The head of a response, and its body as it arrives. One reader; letting go of it cancels.
public final class HTTPClientResponse {
    public let status: Int
    /// Names in lower case, in the order they came.
    public let headers: [HTTPClientRequest.Header]
    private let transfer: HTTPTransfer
    private let client: HTTPClient

    init(_ transfer: HTTPTransfer, client: HTTPClient) {
        status = transfer.status
        headers = transfer.headers
        self.transfer = transfer
        self.client = client
    }

    deinit { if !transfer.isDiscarding { client.end(transfer, .cancelled) } }

    /// The first header of this name, which is given in lower case.
    public func header(_ name: String) -> String? {
        headers.first { $0.name == name }?.value
    }

    /// The next bytes of the body, nil at its end. The deadline is for these bytes alone.
    ///
    /// - Throws: `timedOut(.body)`, after which it may be called again; any other error is the end.
    public func nextChunk(until deadline: MonotonicTime) async throws(HTTPClientError) -> [UInt8]? {
        while true {
            if transfer.hasBody {
                let (bytes, mayGoOn) = transfer.takeBody()
                if mayGoOn { client.resume(transfer) }
                return bytes
            }
            if case .ended(let error) = transfer.state {
                if let error { throw error }
                return nil
            }
            guard await transfer.change(until: deadline) else { throw .timedOut(.body) }
        }
    }

    /// The whole rest of the body.
    ///
    /// - Throws: `tooLarge` beyond `bytesMax`, `timedOut(.body)`; the transfer has ended then.
    public func collect(
        bytesMax: Int, until deadline: MonotonicTime
    ) async throws(HTTPClientError) -> [UInt8] {
        transfer.bodyBytesMax = bytesMax
        transfer.bufferBytesMax = bytesMax
        if transfer.takePause() { client.resume(transfer) }
        while true {
            if case .ended(let error) = transfer.state {
                if let error { throw error }
                let bytes = transfer.takeBody().bytes
                // What was buffered before the limit was known counts too.
                if bytes.count > bytesMax { throw .tooLarge(bytesMax: bytesMax) }
                return bytes
            }
            guard await transfer.change(until: deadline) else {
                cancel()
                throw .timedOut(.body)
            }
        }
    }

    /// Ends the transfer. What an HTTP/1 connection was carrying ends with it.
    public func cancel() { client.end(transfer, .cancelled) }

    /// Reads the rest in the background and throws it away, so that the connection can be used
    /// again; cancels at the deadline.
    public func discard(until deadline: MonotonicTime) {
        if case .ended = transfer.state { return }
        client.discard(transfer, until: deadline)
    }
}

/// Ends a request from outside of the task that waits for it: before its response, or during it.
public final class HTTPCancellation {
    public private(set) var isCancelled = false
    /// What the request under way wants done.
    var action: (() -> Void)?

    public init() {}

    public func cancel() {
        isCancelled = true
        action?()
        action = nil
    }
}
