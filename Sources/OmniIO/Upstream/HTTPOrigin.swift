internal import CShims.Curl
internal import CShims.Linux

/// Scheme, host and port of a URL: what a redirect must not leave.
struct HTTPOrigin: Equatable {
    static let unixScheme = "http+unix://"

    private let scheme: String
    private let host: String
    private let port: String

    /// Nil when the text is no URL with a host.
    init?(_ url: String) {
        guard let handle = unsafe curl_url() else { return nil }
        defer { unsafe curl_url_cleanup(handle) }
        guard unsafe curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK,
            let scheme = unsafe Self.part(CURLUPART_SCHEME, of: handle),
            let host = unsafe Self.part(CURLUPART_HOST, of: handle),
            let port = unsafe Self.part(CURLUPART_PORT, of: handle)
        else { return nil }
        self.scheme = scheme
        self.host = host.lowercased()
        self.port = port
    }

    private static func part(_ part: CURLUPart, of handle: OpaquePointer) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        let flags = UInt32(CURLU_DEFAULT_PORT)
        guard unsafe curl_url_get(handle, part, &text, flags) == CURLUE_OK,
            let text = unsafe text
        else { return nil }
        defer { unsafe curl_free(text) }
        return unsafe String(cString: text)
    }

    /// The socket's path and the URL to ask there, out of `http+unix://%2Fpath/rest`.
    static func unixSocket(_ url: String) -> (path: String, url: String)? {
        guard url.hasPrefix(unixScheme) else { return nil }
        let rest = url.dropFirst(unixScheme.count)
        let socket = rest.prefix { $0 != "/" }
        let path = rest.dropFirst(socket.count)
        return (decode(socket), "http://localhost\(path.isEmpty ? "/" : path)")
    }

    private static func decode(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
