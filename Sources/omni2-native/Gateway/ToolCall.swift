import OmniCore

/// One call of one tool of one server, whichever way it came in.
struct ToolCall {
    let server: LiveServer
    /// The tool's name at its server.
    let tool: String
    let annotations: ToolAnnotations
    /// A JSON object.
    let arguments: [UInt8]
    /// The client's whole params under the server's name for the tool; nil when there is no more to
    /// say than tool and arguments.
    var params: [UInt8]?
    /// A call that makes a task or answers a question of the server is never cached.
    var mayBeCached: Bool
    let principal: Principal
    let requestID: String
    /// Who hears of progress, logs and questions.
    var listener: (any UpstreamCallListener)?
    var wantsProgress = false
    /// How the caller takes the call back.
    var cancellation: UpstreamCancellation?
    /// Where its checkpoints are noted; nil where nothing is recorded.
    var flow: FlowCall?
    /// Its step in the trace and the figures; nil for what nobody asked for.
    var step: ToolStep?
}

extension ToolCall {
    /// As its server gets it.
    var request: UpstreamRequest {
        var request = UpstreamRequest(
            .callTool, params: params ?? UpstreamParams.toolCall(tool, arguments))
        request.isRepeatable = annotations.saidReadOnly == true
        request.wantsProgress = wantsProgress
        request.listener = listener
        request.cancellation = cancellation
        request.target = tool
        request.trace = step?.trace
        return request
    }
}

/// How a call ended. Every call ends in one of these, within its deadline.
enum ToolOutcome {
    /// The server's result, byte for byte; it may say `isError`. `mark` tells about the cache.
    case result([UInt8], mark: CacheMark?)
    /// The server answered with a JSON-RPC error.
    case refused(code: Int, message: String, data: [UInt8]?)
    /// The circuit is open: the server was not asked.
    case unavailable(state: String, retryAfterSeconds: Int?)
    /// The server could not be asked, or did not answer.
    case failed(String)
    /// The caller took it back.
    case cancelled
    /// The answer was longer than allowed.
    case tooLarge(limit: Int)
}

/// What the caller of a cacheable tool is told, in `_meta["omni2/cache"]`.
struct CacheMark {
    let isHit: Bool
    let isStale: Bool
    let ageMilliseconds: Int64
    let expiresInMilliseconds: Int64

    var json: JSONValue {
        var value: JSONValue = ["hit": .bool(isHit)]
        if isHit {
            value["age_ms"] = .int(ageMilliseconds)
            value["expires_in_ms"] = .int(max(0, expiresInMilliseconds))
        }
        if isStale { value["stale"] = true }
        return value
    }

    static let name: StaticString = "omni2/cache"

    /// What HTTP says about an answer that is not the origin's newest (RFC 9111 §5.1; the Warning
    /// of RFC 7234 §5.5.1 is still what clients look for).
    var headers: [HTTPResponse.Header] {
        guard isStale else { return [] }
        return [
            .init(name: "Age", value: String(max(0, ageMilliseconds / 1000))),
            .init(name: "Warning", value: "110 omni2-native \"Response is Stale\""),
        ]
    }

    init(_ found: Cache.Found) {
        isHit = true
        isStale = found.isStale
        ageMilliseconds = found.age.milliseconds
        expiresInMilliseconds = found.timeLeft.milliseconds
    }

    /// Sets the mark in a result's `_meta` without reading the rest.
    func marking(_ result: [UInt8]) -> [UInt8] {
        result.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            var splice = JSONSplice()
            splice.editMeta(of: whole, in: bytes, [.init(Self.name, value: json)])
            return splice.applied(to: whole, of: bytes)
        }
    }
}
