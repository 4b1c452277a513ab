/// How large a request may be. Each refusal is an `HTTPError` that names its limit.
public struct HTTPLimits: Hashable, Sendable {
    /// Method, target and version, without the line end. Beyond it: 414.
    public var requestLineBytesMax: Int
    /// All header lines with their line ends; trailers have the same again. Beyond it: 431.
    public var headerBytesMax: Int
    /// Header lines; never more than `HTTPRequestHead.headersMax`. Beyond it: 431.
    public var headerCountMax: Int
    /// Content, however it is framed. Beyond it: 413.
    public var bodyBytesMax: Int

    public init(
        requestLineBytesMax: Int = 8 << 10, headerBytesMax: Int = 32 << 10,
        headerCountMax: Int = HTTPRequestHead.headersMax, bodyBytesMax: Int = 4 << 20
    ) {
        self.requestLineBytesMax = requestLineBytesMax
        self.headerBytesMax = headerBytesMax
        self.headerCountMax = min(headerCountMax, HTTPRequestHead.headersMax)
        self.bodyBytesMax = bodyBytesMax
    }

    /// One chunk size line with its extensions. Extensions carry nothing we use.
    static let chunkLineBytesMax = 256
    /// What chunk framing may cost on top of as much again as the largest body: a buffer that
    /// keeps a request whole stays bounded even if each byte comes in a chunk of its own.
    static let chunkFramingAllowance = 64 << 10
}
