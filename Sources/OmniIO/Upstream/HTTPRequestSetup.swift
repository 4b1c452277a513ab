internal import CShims.Curl
internal import CShims.Linux
internal import OmniCore

/// Writes a request into libcurl's handle, and refuses what could not be sent as it was meant.
struct HTTPRequestSetup {
    private let request: HTTPClientRequest
    private let userAgent: String
    private let publicOnly: Bool

    init(_ request: HTTPClientRequest, userAgent: String, publicOnly: Bool = false) {
        self.request = request
        self.userAgent = userAgent
        self.publicOnly = publicOnly
    }

    func apply(to transfer: HTTPTransfer) throws(HTTPClientError) {
        try check()
        unsafe setTarget(of: transfer.easy)
        unsafe setMethodAndBody(of: transfer.easy)
        try setHeaders(of: transfer)
        unsafe setConduct(of: transfer.easy)
        unsafe setOptions(of: transfer.easy)
        setCallbacks(of: transfer)
        if publicOnly { unsafe omni2_curl_on_open(transfer.easy, openPublicSocket) }
    }

    private func check() throws(HTTPClientError) {
        guard Self.schemes.contains(where: hasScheme) else {
            throw .invalidRequest("only http, https and http+unix URLs can be asked")
        }
        guard request.url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw .invalidRequest("the URL has a space or a line break")
        }
        guard !request.method.isEmpty, request.method.utf8.allSatisfy(isTokenByte) else {
            throw .invalidRequest("the method is not a token")
        }
        for header in request.headers {
            guard !header.name.isEmpty, header.name.utf8.allSatisfy(isTokenByte) else {
                throw .invalidRequest("a header name is not a token")
            }
            guard isOneLine(header.value) else {
                throw .invalidRequest("the header \(header.name) has a line break")
            }
        }
    }

    private static let schemes = ["http://", "https://", HTTPOrigin.unixScheme]

    private func hasScheme(_ scheme: String) -> Bool {
        var wanted = scheme.utf8.makeIterator()
        for byte in request.url.utf8 {
            guard let next = wanted.next() else { return true }
            if byte != next, byte &- 65 >= 26 || byte | 0x20 != next { return false }
        }
        return wanted.next() == nil
    }

    private func isOneLine(_ text: String) -> Bool {
        text.utf8.allSatisfy { ($0 >= 0x20 || $0 == 9) && $0 != 0x7F }
    }

    private func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private func setTarget(of easy: UnsafeMutableRawPointer) {
        if let socket = HTTPOrigin.unixSocket(request.url) {
            unsafe omni2_curl_text(easy, CURLOPT_UNIX_SOCKET_PATH, socket.path)
            unsafe omni2_curl_text(easy, CURLOPT_URL, socket.url)
        } else {
            unsafe omni2_curl_text(easy, CURLOPT_URL, request.url)
        }
        unsafe omni2_curl_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
    }

    private func setMethodAndBody(of easy: UnsafeMutableRawPointer) {
        if let body = request.body {
            unsafe omni2_curl_size(easy, CURLOPT_POSTFIELDSIZE_LARGE, Int64(body.count))
            unsafe body.withUnsafeBytes { bytes in
                // An empty array may have no address, which libcurl would take for "no body".
                var nothing: UInt8 = 0
                if let start = bytes.baseAddress {
                    unsafe omni2_curl_pointer(easy, CURLOPT_COPYPOSTFIELDS, start)
                } else {
                    unsafe omni2_curl_pointer(easy, CURLOPT_COPYPOSTFIELDS, &nothing)
                }
            }
        } else if request.method == "HEAD" {
            unsafe omni2_curl_number(easy, CURLOPT_NOBODY, 1)
        }
        if request.method != (request.body == nil ? "GET" : "POST") && request.method != "HEAD" {
            unsafe omni2_curl_text(easy, CURLOPT_CUSTOMREQUEST, request.method)
        }
    }

    private func setHeaders(of transfer: HTTPTransfer) throws(HTTPClientError) {
        var list: UnsafeMutablePointer<curl_slist>?
        // A name alone takes out what libcurl would add: a form's type, and waiting for 100.
        var lines = ["Expect:"]
        if request.body != nil, !request.headers.contains(where: isContentType) {
            lines.append("Content-Type:")
        }
        for header in request.headers {
            lines.append(
                header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)")
        }
        for line in lines {
            guard let longer = unsafe curl_slist_append(list, line) else {
                unsafe curl_slist_free_all(list)
                throw .limitReached
            }
            unsafe list = unsafe longer
        }
        unsafe transfer.headerList = unsafe list
        unsafe omni2_curl_pointer(transfer.easy, CURLOPT_HTTPHEADER, list)
        unsafe omni2_curl_text(transfer.easy, CURLOPT_USERAGENT, userAgent)
    }

    private func isContentType(_ header: HTTPClientRequest.Header) -> Bool {
        header.name.utf8.count == 12 && header.name.lowercased() == "content-type"
    }

    private func setConduct(of easy: UnsafeMutableRawPointer) {
        let connect = max(1, request.connectTimeout.nanosecondsClamped / 1_000_000)
        unsafe omni2_curl_number(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(connect))
        unsafe omni2_curl_number(easy, CURLOPT_NOSIGNAL, 1)
        // Without it, giving up during a name look-up would wait for the look-up's thread.
        unsafe omni2_curl_number(easy, CURLOPT_QUICK_EXIT, 1)
        unsafe omni2_curl_number(easy, CURLOPT_FOLLOWLOCATION, 0)
        unsafe omni2_curl_number(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        unsafe omni2_curl_number(easy, CURLOPT_TCP_KEEPALIVE, 1)
        unsafe omni2_curl_number(
            easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
    }

    private func setOptions(of easy: UnsafeMutableRawPointer) {
        let options = request.options
        unsafe omni2_curl_text(easy, CURLOPT_PROXY, options.proxy ?? "")
        if let file = options.authorityFile {
            unsafe omni2_curl_text(easy, CURLOPT_CAINFO, file)
            unsafe omni2_curl_text(easy, CURLOPT_CAPATH, nil)
        }
        if let file = options.certificateFile {
            unsafe omni2_curl_text(easy, CURLOPT_SSLCERT, file)
        }
        if let file = options.keyFile { unsafe omni2_curl_text(easy, CURLOPT_SSLKEY, file) }
    }

    private func setCallbacks(of transfer: HTTPTransfer) {
        let context = unsafe Unmanaged.passUnretained(transfer).toOpaque()
        unsafe omni2_curl_on_header(transfer.easy, headerCallback, context)
        unsafe omni2_curl_on_body(transfer.easy, bodyCallback, context)
        unsafe omni2_curl_on_sending(transfer.easy, sendingCallback, context)
        unsafe omni2_curl_pointer(transfer.easy, CURLOPT_ERRORBUFFER, transfer.errorText)
    }
}

private func headerCallback(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int,
    _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context, let bytes = unsafe bytes else { return 0 }
    let transfer = unsafe Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
    let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    return unsafe transfer.received(headerLine: line) ? size * count : 0
}

private func bodyCallback(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int,
    _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context, let bytes = unsafe bytes else { return 0 }
    let transfer = unsafe Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
    let part = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    switch unsafe transfer.received(body: part) {
    case .taken: return size * count
    case .paused: return Int(CURL_WRITEFUNC_PAUSE)
    case .refused: return 0
    }
}

private func sendingCallback(
    _ context: UnsafeMutableRawPointer?, _ remote: UnsafeMutablePointer<CChar>?,
    _ local: UnsafeMutablePointer<CChar>?, _ remotePort: Int32, _ localPort: Int32
) -> Int32 {
    guard let context = unsafe context else { return CURL_PREREQFUNC_ABORT }
    let transfer = unsafe Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.mayBeSent() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
}

extension HTTPTransfer {
    /// What libcurl's code means to a caller.
    func failure(_ code: CURLcode) -> HTTPClientError {
        var text = unsafe String(cString: errorText)
        if text.isEmpty { text = unsafe String(cString: curl_easy_strerror(code)) }
        switch code {
        case CURLE_UNSUPPORTED_PROTOCOL:
            // libcurl's word for an answer without a status line, once something was sent.
            return hasBeenSent ? .protocolError(text) : .invalidRequest(text)
        case CURLE_URL_MALFORMAT: return .invalidRequest(text)
        case CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT,
            CURLE_PROXY, CURLE_INTERFACE_FAILED:
            return .connectFailed(text)
        case CURLE_OPERATION_TIMEDOUT:
            // The only deadline libcurl knows of is the one for connecting.
            return .timedOut(.connect)
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT,
            CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_CRL_BADFILE:
            return .tlsFailed(text)
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE:
            return .reset(text)
        default: return .protocolError(text)
        }
    }
}

/// The address is judged where it is used, after the name was resolved: a name that says something
/// else the second time it is asked gets nowhere.
private func openPublicSocket(
    _ context: UnsafeMutableRawPointer?, _ purpose: curlsocktype,
    _ address: UnsafeMutablePointer<curl_sockaddr>?
) -> curl_socket_t {
    guard let address = unsafe address, let bytes = unsafe internetAddress(address),
        PublicAddress.isPublic(bytes)
    else { return -1 }
    return unsafe socket(
        address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue),
        address.pointee.protocol)
}

/// The 4 or 16 bytes; nil for other families.
private func internetAddress(_ address: UnsafeMutablePointer<curl_sockaddr>) -> [UInt8]? {
    let start = unsafe UnsafeRawPointer(address).advanced(
        by: MemoryLayout<curl_sockaddr>.offset(of: \.addr) ?? 0)
    switch unsafe address.pointee.family {
    case AF_INET: return unsafe Array(UnsafeRawBufferPointer(start: start + 4, count: 4))
    case AF_INET6: return unsafe Array(UnsafeRawBufferPointer(start: start + 8, count: 16))
    default: return nil
    }
}
