/// Writes JSON-RPC messages at the end of a byte array; raw parts pass through unchanged.
///
/// An id is given as raw JSON, as it was received, or as one of our own integers.
public enum RPCWriter {
    public static func request(
        id: Int64, method: StaticString, params: [UInt8]?, to message: inout [UInt8]
    ) {
        message.append("{\"jsonrpc\":\"2.0\",\"id\":")
        JSONNumber.append(id, to: &message)
        appendMethod(method, params, to: &message)
    }

    /// A request passed on: method and params as they came, or params already spliced.
    public static func request(
        id: Int64, method: ByteRange, params: ByteRange?, of bytes: RawSpan,
        to message: inout [UInt8]
    ) {
        message.append("{\"jsonrpc\":\"2.0\",\"id\":")
        JSONNumber.append(id, to: &message)
        message.append(",\"method\":")
        message.append(method, of: bytes)
        if let params {
            message.append(",\"params\":")
            message.append(params, of: bytes)
        }
        message.append(UInt8(ascii: "}"))
    }

    public static func notification(
        method: StaticString, params: [UInt8]?, to message: inout [UInt8]
    ) {
        message.append("{\"jsonrpc\":\"2.0\"")
        appendMethod(method, params, to: &message)
    }

    /// `id` is raw JSON.
    public static func result(id: [UInt8], result: [UInt8], to message: inout [UInt8]) {
        beginResult(id: id, to: &message)
        message.append(contentsOf: result)
        message.append(UInt8(ascii: "}"))
    }

    /// A result passed on from another buffer.
    public static func result(
        id: [UInt8], result: ByteRange, of bytes: RawSpan, to message: inout [UInt8]
    ) {
        beginResult(id: id, to: &message)
        message.append(result, of: bytes)
        message.append(UInt8(ascii: "}"))
    }

    /// A result passed on with edits, in the one copy that is made anyway.
    public static func result(
        id: [UInt8], result: ByteRange, of bytes: RawSpan, edits: JSONSplice,
        to message: inout [UInt8]
    ) {
        beginResult(id: id, to: &message)
        edits.append(result, of: bytes, to: &message)
        message.append(UInt8(ascii: "}"))
    }

    /// `id` nil becomes null, as JSON-RPC wants it when the id could not be read.
    public static func error(
        id: [UInt8]?, code: RPCCode, message text: String, data: [UInt8]? = nil,
        to message: inout [UInt8]
    ) {
        beginError(id: id, to: &message)
        message.append("{\"code\":")
        JSONNumber.append(code.rawValue, to: &message)
        message.append(",\"message\":")
        JSONText.appendQuoted(text, to: &message)
        if let data {
            message.append(",\"data\":")
            message.append(contentsOf: data)
        }
        message.append("}}")
    }

    /// An error object passed on from another buffer.
    public static func error(
        id: [UInt8]?, error: ByteRange, of bytes: RawSpan, to message: inout [UInt8]
    ) {
        beginError(id: id, to: &message)
        message.append(error, of: bytes)
        message.append(UInt8(ascii: "}"))
    }

    /// The answer to a message that could not be accepted; `bytes` is where it was read from.
    public static func failure(
        _ failure: RPCFailure, in bytes: RawSpan, data: [UInt8]? = nil,
        to message: inout [UInt8]
    ) {
        let id = failure.id.map { JSONScanner.copy($0, from: bytes) }
        error(id: id, code: failure.code, message: failure.message, data: data, to: &message)
    }

    private static func appendMethod(
        _ method: StaticString, _ params: [UInt8]?, to message: inout [UInt8]
    ) {
        message.append(",\"method\":\"")
        message.append(method)
        message.append(UInt8(ascii: "\""))
        if let params {
            message.append(",\"params\":")
            message.append(contentsOf: params)
        }
        message.append(UInt8(ascii: "}"))
    }

    private static func beginResult(id: [UInt8], to message: inout [UInt8]) {
        message.append("{\"jsonrpc\":\"2.0\",\"id\":")
        message.append(contentsOf: id)
        message.append(",\"result\":")
    }

    private static func beginError(id: [UInt8]?, to message: inout [UInt8]) {
        message.append("{\"jsonrpc\":\"2.0\",\"id\":")
        if let id { message.append(contentsOf: id) } else { message.append("null") }
        message.append(",\"error\":")
    }
}
