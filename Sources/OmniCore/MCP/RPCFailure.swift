/// A JSON-RPC error of our own making: what to answer, and to which request.
public struct RPCFailure: Error, Hashable, Sendable {
    public var code: RPCCode
    public var reason: Reason
    /// The raw id of the request in the buffer it was read from; nil means `"id":null`.
    public var id: ByteRange?
    /// Where the text stopped being JSON, for `notJSON`.
    public var json: JSONError?

    public init(
        _ code: RPCCode, _ reason: Reason, id: ByteRange? = nil, json: JSONError? = nil
    ) {
        self.code = code
        self.reason = reason
        self.id = id
        self.json = json
    }

    public enum Reason: UInt8, Hashable, Sendable, CaseIterable {
        case notJSON, notAnObject, wrongVersion, badID, badMethod, badParams, badError
        case duplicateMember, noKind, bothResultAndError, emptyBatch, batchNotAllowed
        case notInitialized, alreadyInitialized, methodNotFound, missingName, missingURI
        case missingEnvelope, badEnvelope, unsupportedVersion, missingCapability, headerMismatch
        case badCursor, tooMany

        public var sentence: StaticString {
            switch self {
            case .notJSON: "Parse error"
            case .notAnObject: "A message is a JSON object"
            case .wrongVersion: "jsonrpc must be \"2.0\""
            case .badID: "id must be a string or an integer"
            case .badMethod: "method must be a string"
            case .badParams: "params must be an object"
            case .badError: "error must be an object with an integer code and a message"
            case .duplicateMember: "A member occurs twice"
            case .noKind: "Neither a request nor a response"
            case .bothResultAndError: "result and error exclude each other"
            case .emptyBatch: "The batch is empty"
            case .batchNotAllowed: "This protocol version has no batches"
            case .notInitialized: "initialize has to come first"
            case .alreadyInitialized: "initialize was answered before"
            case .methodNotFound: "Method not found"
            case .missingName: "params.name must be a string"
            case .missingURI: "params.uri must be a string"
            case .missingEnvelope: "params._meta lacks the protocol version or client capabilities"
            case .badEnvelope: "params._meta is not an object with well-typed members"
            case .unsupportedVersion: "Unsupported protocol version"
            case .missingCapability: "The client lacks a required capability"
            case .headerMismatch: "A header and the message disagree"
            case .badCursor: "Unknown cursor"
            case .tooMany: "Too many of these are open"
            }
        }
    }

    /// The sentence, with the place when the text is not JSON. Allocates.
    public var message: String {
        if let json { "\(reason.sentence) \(json)" } else { "\(reason.sentence)" }
    }
}

/// The codes JSON-RPC and the MCP specification define, and the original's for a failed call.
public struct RPCCode: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int64

    public init(rawValue: Int64) { self.rawValue = rawValue }

    public static let parseError = RPCCode(rawValue: -32700)
    public static let invalidRequest = RPCCode(rawValue: -32600)
    public static let methodNotFound = RPCCode(rawValue: -32601)
    public static let invalidParams = RPCCode(rawValue: -32602)
    public static let internalError = RPCCode(rawValue: -32603)
    /// Not loaded, unavailable, failed: the gateway's general answer for a server that cannot.
    public static let serverError = RPCCode(rawValue: -32000)
    /// Revisions up to 2025-11-25 only; the modern one answers invalidParams.
    public static let resourceNotFound = RPCCode(rawValue: -32002)
    /// 2025-11-25: URLs must be opened first; they are in the error's data.
    public static let urlElicitationRequired = RPCCode(rawValue: -32042)
    /// 2026-07-28.
    public static let headerMismatch = RPCCode(rawValue: -32020)
    public static let missingCapability = RPCCode(rawValue: -32021)
    public static let unsupportedVersion = RPCCode(rawValue: -32022)

    /// Only a server of the stateless era answers with one of these.
    public var isModern: Bool {
        self == .headerMismatch || self == .missingCapability || self == .unsupportedVersion
    }
}
