// A stream of requests, read whole, byte by byte and in random pieces: no crash, and always the
// same requests and the same refusal. The last byte of the input chooses the limits.

@c(LLVMFuzzerTestOneInput)
public func fuzzHTTP(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    var bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: count))
    guard let choice = bytes.popLast() else { return 0 }
    let limits =
        choice & 1 == 0
        ? HTTPLimits()
        : HTTPLimits(
            requestLineBytesMax: 40, headerBytesMax: 100, headerCountMax: 4, bodyBytesMax: 24)
    let whole = HTTPTranscript.read(bytes, cut: .whole, limits: limits)
    let cuts: [Cut] = [.byteByByte, .random(seed: UInt64(choice)), .random(seed: UInt64(count))]
    for cut in cuts {
        for dropsEarly in [false, true] {
            let other = HTTPTranscript.read(
                bytes, cut: cut, limits: limits, dropsEarly: dropsEarly)
            require(other == whole, "\(cut): \(other) instead of \(whole)")
        }
    }
    for case .head(let head) in whole {
        check(head)
    }
    return 0
}

/// What the rest of the program relies on.
private func check(_ head: HeadSummary) {
    require(head.headers.count <= HTTPRequestHead.headersMax)
    require(
        head.version == .http10 || head.headers.contains { $0.lowercased().hasPrefix("host=") })
    for header in head.headers {
        require(!header.utf8.contains(0x0D) && !header.utf8.contains(0x0A))
        require(!header.utf8.contains(0))
    }
    require(head.path.isEmpty || head.path.hasPrefix("/") || head.path == "*")
}
