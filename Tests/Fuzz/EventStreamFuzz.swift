// An event stream, read whole, byte by byte and in random pieces: no crash, and always the same
// events. Each event is then written and must be read again as it was. The last byte of the input
// chooses the limit.

@c(LLVMFuzzerTestOneInput)
public func fuzzEventStream(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    var bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: count))
    guard let choice = bytes.popLast() else { return 0 }
    let eventBytesMax = choice & 1 == 0 ? 1 << 20 : 40
    let whole = EventStreamTranscript.read(bytes, cut: .whole, eventBytesMax: eventBytesMax)
    for cut in [Cut.byteByByte, .random(seed: UInt64(choice)), .random(seed: UInt64(count))] {
        let other = EventStreamTranscript.read(bytes, cut: cut, eventBytesMax: eventBytesMax)
        require(other == whole, "\(cut): \(other) instead of \(whole)")
    }
    for case .event(_, let data, _) in whole { checkRoundTrip(data) }
    return 0
}

private func checkRoundTrip(_ data: [UInt8]) {
    var writer = ByteWriter(capacity: 8 * data.count + 64)
    unsafe EventStreamWriter.event(data.span.bytes, event: "status", into: &writer)
    let read = EventStreamTranscript.read(writer.array(), cut: .whole)
    require(
        read == [.event(name: "status", data: data, id: "")], "\(data) came back as \(read)")
}
