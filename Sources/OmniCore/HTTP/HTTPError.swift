/// Why a request was refused before anybody looked at what it asks for.
///
/// After any of these the position in the stream is lost: answer with `status` and `message`,
/// then close the connection. (408 is not here: a parser has no clock.)
public enum HTTPError: Error, Hashable, Sendable {
    // The request line.
    case requestLineTooLong(limit: Int)
    case malformedRequestLine
    case invalidMethod
    case invalidTarget
    case connectNotSupported
    case invalidVersion
    case unsupportedVersion

    // Header fields.
    case headersTooLarge(limit: Int)
    case tooManyHeaders(limit: Int)
    case bareLineFeed
    case missingColon
    case invalidHeaderName
    case whitespaceBeforeColon
    case invalidHeaderValue
    case obsoleteLineFolding
    case missingHost
    case repeatedHost
    case invalidHost
    case unsupportedExpectation

    // How the body is delimited.
    case invalidContentLength
    case conflictingContentLength
    case contentLengthWithTransferEncoding
    case transferEncodingInHTTP10
    case repeatedTransferEncoding
    case chunkedIsNotLast
    case unsupportedTransferCoding
    case bodyTooLarge(limit: Int)
    case invalidChunkSize
    case chunkLineTooLong(limit: Int)
    case invalidChunkExtension
    case missingChunkEnd

    public var status: HTTPStatus {
        switch self {
        case .requestLineTooLong: .uriTooLong
        case .headersTooLarge, .tooManyHeaders: .requestHeaderFieldsTooLarge
        case .bodyTooLarge: .contentTooLarge
        case .unsupportedExpectation: .expectationFailed
        case .connectNotSupported, .unsupportedTransferCoding: .notImplemented
        case .unsupportedVersion: .httpVersionNotSupported
        default: .badRequest
        }
    }

    /// One sentence for the person who wrote the client.
    public var message: String {
        switch self {
        case .requestLineTooLong(let limit): "The request line is longer than \(limit) bytes."
        case .malformedRequestLine: "The request line is not 'METHOD target HTTP/1.1'."
        case .invalidMethod: "The method contains a character that is not allowed in a token."
        case .invalidTarget: "The request target is neither a path nor an http URL."
        case .connectNotSupported: "CONNECT is not supported; this server is not a proxy."
        case .invalidVersion: "The protocol version is not of the form HTTP/1.1."
        case .unsupportedVersion: "Only HTTP/1.1 and HTTP/1.0 are spoken here."
        case .headersTooLarge(let limit): "The header fields take more than \(limit) bytes."
        case .tooManyHeaders(let limit): "There are more than \(limit) header fields."
        case .bareLineFeed: "A line ends in LF without CR."
        case .missingColon: "A header line has no colon."
        case .invalidHeaderName: "A header name contains a character that is not allowed."
        case .whitespaceBeforeColon: "There is white space between a header name and its colon."
        case .invalidHeaderValue: "A header value contains a control character."
        case .obsoleteLineFolding: "A header is folded over several lines, which is obsolete."
        case .missingHost: "An HTTP/1.1 request needs a Host header."
        case .repeatedHost: "There is more than one Host header."
        case .invalidHost: "The host is not of the form name[:port]."
        case .unsupportedExpectation: "The only expectation supported is 100-continue."
        case .invalidContentLength: "Content-Length is not a decimal number."
        case .conflictingContentLength: "Content-Length is given twice with different values."
        case .contentLengthWithTransferEncoding:
            "Content-Length and Transfer-Encoding exclude each other."
        case .transferEncodingInHTTP10: "HTTP/1.0 has no Transfer-Encoding."
        case .repeatedTransferEncoding: "There is more than one Transfer-Encoding header."
        case .chunkedIsNotLast: "The last transfer coding of a request must be 'chunked'."
        case .unsupportedTransferCoding: "The only transfer coding supported is 'chunked'."
        case .bodyTooLarge(let limit): "The body is larger than \(limit) bytes."
        case .invalidChunkSize: "A chunk size is not a hexadecimal number."
        case .chunkLineTooLong(let limit): "A chunk size line is longer than \(limit) bytes."
        case .invalidChunkExtension: "A chunk extension is malformed."
        case .missingChunkEnd: "The data of a chunk is not followed by CRLF."
        }
    }
}
