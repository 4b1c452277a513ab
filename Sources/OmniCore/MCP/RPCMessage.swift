/// One JSON-RPC 2.0 message, by ranges into the buffer it arrived in.
///
/// Reading validates the whole text, so that later look-ups in `params` or `payload` need no checks
/// of their own. A member of the envelope that occurs twice is refused: readers disagree on which
/// one counts, and what we authorise must be what the server executes.
public struct RPCMessage: Hashable, Sendable {
    public enum Kind: UInt8, Hashable, Sendable {
        case request, notification, result, error
    }

    public var kind: Kind
    public var whole: ByteRange
    /// Raw bytes, quotes included: a string or an integer. nil for a notification, and for an error
    /// whose sender could not tell which request it was (`"id":null` or none).
    public var id: ByteRange?
    /// With quotes; present for requests and notifications.
    public var method: ByteRange?
    /// An object; nil when absent or null.
    public var params: ByteRange?
    /// The `result`, or the `error` object.
    public var payload: ByteRange?

    /// - Throws: `RPCFailure` ready to be answered: -32700 when it is not JSON, -32600 when it is
    ///   not JSON-RPC; its `id` is set whenever one could be read. A batch is refused: see
    ///   `RPCIncoming` where one may arrive.
    public static func read(
        _ bytes: RawSpan, depthMax: Int = JSONScanner.depthMax
    ) throws(RPCFailure) -> RPCMessage {
        let whole: ByteRange
        do throws(JSONError) {
            whole = try JSONScanner.validate(bytes, depthMax: depthMax)
        } catch {
            throw RPCFailure(.parseError, .notJSON, json: error)
        }
        return try read(validated: whole, in: bytes)
    }

    /// As above, for an element of a batch or any other text that is known to be JSON.
    public static func read(
        validated whole: ByteRange, in bytes: RawSpan
    ) throws(RPCFailure) -> RPCMessage {
        var envelope = RPCEnvelope()
        envelope.gather(whole, in: bytes)
        return try envelope.message(whole, in: bytes)
    }
}

/// What may arrive where batches are allowed (2025-03-26 only).
public enum RPCIncoming: Hashable, Sendable {
    case message(RPCMessage)
    /// A validated array with at least one element; walk it with `JSONElements` and read each with
    /// `RPCMessage.read(validated:in:)`.
    case batch(ByteRange)

    public static func read(
        _ bytes: RawSpan, depthMax: Int = JSONScanner.depthMax
    ) throws(RPCFailure) -> RPCIncoming {
        let whole: ByteRange
        do throws(JSONError) {
            whole = try JSONScanner.validate(bytes, depthMax: depthMax)
        } catch {
            throw RPCFailure(.parseError, .notJSON, json: error)
        }
        guard JSONScanner.kind(of: whole, in: bytes) == .array else {
            return .message(try RPCMessage.read(validated: whole, in: bytes))
        }
        var elements = JSONElements(of: whole, in: bytes)
        if elements.next(in: bytes) == nil { throw RPCFailure(.invalidRequest, .emptyBatch) }
        return .batch(whole)
    }
}

/// The members of the envelope as they were found, before they are judged together.
private struct RPCEnvelope {
    var isObject = false
    var hasDuplicate = false
    var version: ByteRange?
    var id: ByteRange?
    var method: ByteRange?
    var params: ByteRange?
    var result: ByteRange?
    var error: ByteRange?

    mutating func gather(_ whole: ByteRange, in bytes: RawSpan) {
        isObject = JSONScanner.kind(of: whole, in: bytes) == .object
        var members = JSONMembers(of: whole, in: bytes)
        while let member = members.next(in: bytes) {
            if member.isNamed("jsonrpc", in: bytes) {
                note(member.value, as: \.version)
            } else if member.isNamed("id", in: bytes) {
                note(member.value, as: \.id)
            } else if member.isNamed("method", in: bytes) {
                note(member.value, as: \.method)
            } else if member.isNamed("params", in: bytes) {
                note(member.value, as: \.params)
            } else if member.isNamed("result", in: bytes) {
                note(member.value, as: \.result)
            } else if member.isNamed("error", in: bytes) {
                note(member.value, as: \.error)
            }
        }
    }

    @inline(__always)
    private mutating func note(
        _ value: ByteRange, as member: WritableKeyPath<RPCEnvelope, ByteRange?>
    ) {
        if self[keyPath: member] != nil { hasDuplicate = true }
        self[keyPath: member] = value
    }

    func message(_ whole: ByteRange, in bytes: RawSpan) throws(RPCFailure) -> RPCMessage {
        guard isObject else { throw RPCFailure(.invalidRequest, .notAnObject) }
        let id = usableID(in: bytes)
        func refuse(_ reason: RPCFailure.Reason) -> RPCFailure {
            RPCFailure(.invalidRequest, reason, id: id)
        }
        if hasDuplicate { throw RPCFailure(.invalidRequest, .duplicateMember) }
        guard JSONScanner.equals(version, "2.0", in: bytes) else { throw refuse(.wrongVersion) }
        let idIsNull = self.id.map { JSONScanner.isNull($0, in: bytes) } ?? false
        if self.id != nil, id == nil, !idIsNull { throw refuse(.badID) }

        if let method {
            guard JSONScanner.kind(of: method, in: bytes) == .string else {
                throw refuse(.badMethod)
            }
            // MCP forbids a null id, and answering it would reach nobody.
            if idIsNull { throw refuse(.badID) }
            if result != nil || error != nil { throw refuse(.noKind) }
            return RPCMessage(
                kind: id == nil ? .notification : .request, whole: whole, id: id, method: method,
                params: try usableParams(in: bytes, refuse), payload: nil)
        }
        if let result {
            if error != nil { throw refuse(.bothResultAndError) }
            guard id != nil else { throw refuse(.badID) }
            return RPCMessage(
                kind: .result, whole: whole, id: id, method: nil, params: nil, payload: result)
        }
        guard let error else { throw refuse(.noKind) }
        guard RPCErrorObject.read(error, in: bytes) != nil else { throw refuse(.badError) }
        return RPCMessage(
            kind: .error, whole: whole, id: id, method: nil, params: nil, payload: error)
    }

    private func usableID(in bytes: RawSpan) -> ByteRange? {
        guard let id else { return nil }
        switch JSONScanner.kind(of: id, in: bytes) {
        case .string: return id
        case .number: return JSONNumber.isInteger(id, in: bytes) ? id : nil
        default: return nil
        }
    }

    private func usableParams(
        in bytes: RawSpan, _ refuse: (RPCFailure.Reason) -> RPCFailure
    ) throws(RPCFailure) -> ByteRange? {
        guard let params else { return nil }
        switch JSONScanner.kind(of: params, in: bytes) {
        case .object: return params
        // Seen from real clients, and it can only mean one thing.
        case .null: return nil
        default: throw refuse(.badParams)
        }
    }
}

/// The `error` object of an answer.
public struct RPCErrorObject: Hashable, Sendable {
    public var code: RPCCode
    /// With quotes.
    public var message: ByteRange
    public var data: ByteRange?

    /// nil when it is not an object with an integer code and a message.
    public static func read(_ error: ByteRange, in bytes: RawSpan) -> RPCErrorObject? {
        guard
            let code = JSONScanner.int(JSONScanner.member("code", of: error, in: bytes), in: bytes),
            let message = JSONScanner.member("message", of: error, in: bytes),
            JSONScanner.kind(of: message, in: bytes) == .string
        else { return nil }
        return RPCErrorObject(
            code: RPCCode(rawValue: code), message: message,
            data: JSONScanner.member("data", of: error, in: bytes))
    }
}
