import OmniCore
import Testing

@Suite("WebSocket: session")
struct WebSocketSessionTests {
    typealias Entry = WebSocketTranscript.Entry

    /// Reads the frames in every cut and checks that all agree.
    private func read(
        _ bytes: [UInt8], allowsCompression: Bool = false,
        limits: WebSocketLimits = WebSocketLimits(), role: WebSocketRole = .server,
        inflate: ([UInt8]) -> [UInt8] = { $0 }
    ) -> [Entry] {
        let session = WebSocketSession(
            role: role, allowsCompression: allowsCompression, limits: limits)
        let whole = WebSocketTranscript.read(
            bytes, cut: .whole, session: session, inflate: inflate)
        for cut in Cut.all where cut != .byteByByte || bytes.count < 200_000 {
            #expect(
                WebSocketTranscript.read(bytes, cut: cut, session: session, inflate: inflate)
                    == whole, "\(cut)")
        }
        return whole
    }

    private func text(_ string: String) -> Entry { .message(isText: true, [UInt8](string.utf8)) }

    private func failure(_ error: WebSocketError) -> Entry {
        .close(error.closeCode.rawValue, error)
    }

    // MARK: Messages

    @Test func theMaskedHelloOfTheStandardIsRead() {
        let bytes: [UInt8] = [
            0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
        ]
        #expect(read(bytes) == [text("Hello")])
        #expect(frame(.text, "Hello") == bytes)
    }

    @Test func theUnmaskedExamplesOfTheStandardAreReadByAClient() {
        #expect(read([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], role: .client) == [text("Hello")])
        let fragments: [UInt8] = [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F]
        #expect(read(fragments, role: .client) == [text("Hello")])
        #expect(
            read([0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], role: .client)
                == [.pong([UInt8]("Hello".utf8))])
    }

    @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20])
    func messagesOfEveryLengthFormAreRead(count: Int) {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(read(frame(.binary, payload)) == [.message(isText: false, payload)])
    }

    @Test func aMessageThatArrivesWholeIsDeliveredInPlaceAndAtOnce() {
        var session = WebSocketSession()
        var bytes = frame(.text, "first") + frame(.text, "second")
        var position = 0
        var elements = bytes.mutableSpan
        var span = unsafe elements.mutableBytes
        let first = WebSocketMessagePart(
            isText: true, payload: ByteRange(offset: 6, count: 5), isFirst: true, isLast: true)
        let second = WebSocketMessagePart(
            isText: true, payload: ByteRange(offset: 17, count: 6), isFirst: true, isLast: true)
        #expect(first.isWhole)
        let actions = [
            session.received(&span, position: &position),
            session.received(&span, position: &position),
            session.received(&span, position: &position),
        ]
        #expect(actions == [.deliver(first), .deliver(second), .needMore])
        #expect(position == 23)
    }

    @Test func fragmentsFormOneMessageAndControlFramesComeBetween() {
        let bytes =
            frame(.text, "one ", isFinal: false) + frame(.ping, "are you there")
            + frame(.continuation, "", isFinal: false) + frame(.pong, "unasked")
            + frame(.continuation, "two ", isFinal: false) + frame(.continuation, "three")
            + frame(.binary, [0xFF])
        #expect(
            read(bytes) == [
                .pong([UInt8]("are you there".utf8)), .heardPong([UInt8]("unasked".utf8)),
                text("one two three"), .message(isText: false, [0xFF]),
            ])
    }

    @Test(arguments: [0, 1, 125])
    func pingsAreAnsweredWithTheirPayload(count: Int) {
        let payload = [UInt8](repeating: 0xFE, count: count)
        #expect(read(frame(.ping, payload)) == [.pong(payload)])
    }

    // MARK: Framing errors

    static let violations: [([UInt8], WebSocketError)] = [
        ([0xC1, 0x80, 0, 0, 0, 0], .reservedBits), ([0xA1, 0x80], .reservedBits),
        ([0x91, 0x80], .reservedBits), ([0xF1, 0x80], .reservedBits),
        ([0x83, 0x80], .reservedOpcode), ([0x87, 0x80], .reservedOpcode),
        ([0x8B, 0x80], .reservedOpcode), ([0x8F, 0x80], .reservedOpcode),
        ([0x81, 0x05], .notMasked), ([0x89, 0x00], .notMasked),
        ([0x09, 0x80], .fragmentedControlFrame), ([0x08, 0x80], .fragmentedControlFrame),
        ([0x89, 0xFE], .controlFrameTooLong), ([0x88, 0xFF], .controlFrameTooLong),
        ([0x8A, 0xFE], .controlFrameTooLong),
        ([0x82, 0xFE, 0x00, 0x00], .invalidLength), ([0x82, 0xFE, 0x00, 0x7D], .invalidLength),
        ([0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], .invalidLength),
        ([0x82, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0], .invalidLength),
        ([0x80, 0x80, 0, 0, 0, 0], .unexpectedContinuation),
        ([0x00, 0x80, 0, 0, 0, 0], .unexpectedContinuation),
        ([0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1], .frameTooLarge(limit: 1 << 20)),
        ([0x82, 0xFF, 0x7F, 0, 0, 0, 0, 0, 0, 0], .frameTooLarge(limit: 1 << 20)),
    ]

    @Test(arguments: violations)
    func violationsCloseTheConnection(bytes: [UInt8], error: WebSocketError) {
        #expect(read(bytes) == [failure(error)])
        let code: UInt16 = if case .frameTooLarge = error { 1009 } else { 1002 }
        #expect(error.closeCode.rawValue == code)
    }

    @Test func aFinishedMessageCannotBeContinued() {
        let bytes = frame(.text, "done") + frame(.continuation, "more")
        #expect(read(bytes) == [text("done"), failure(.unexpectedContinuation)])
    }

    @Test func aMessageCannotBeginInsideAnother() {
        for opcode in [WebSocketOpcode.text, .binary] {
            let bytes = frame(.text, "half", isFinal: false) + frame(opcode, "other")
            #expect(read(bytes) == [failure(.expectedContinuation)])
        }
    }

    @Test func aClientRefusesMaskedFrames() {
        #expect(read(frame(.text, "x"), role: .client) == [failure(.masked)])
    }

    // MARK: Limits

    @Test func framesAndMessagesMayReachTheirLimits() {
        let limits = WebSocketLimits(frameBytesMax: 4, messageBytesMax: 6)
        let fits = frame(.text, "abcd", isFinal: false) + frame(.continuation, "ef")
        #expect(read(fits, limits: limits) == [text("abcdef")])
        #expect(
            read(frame(.text, "abcde"), limits: limits) == [failure(.frameTooLarge(limit: 4))])
        let tooLarge = frame(.text, "abcd", isFinal: false) + frame(.continuation, "efg")
        #expect(read(tooLarge, limits: limits) == [failure(.messageTooLarge(limit: 6))])
        // The count begins anew with each message, and control frames are not in it.
        #expect(
            read(fits + frame(.ping, "12345") + fits, limits: limits)
                == [text("abcdef"), .pong([UInt8]("12345".utf8)), text("abcdef")])
    }

    @Test func aMessageTooLargeIsRefusedAtItsHeader() {
        let limits = WebSocketLimits(frameBytesMax: 1 << 20, messageBytesMax: 1000)
        var session = WebSocketSession(limits: limits)
        var bytes = [UInt8](frame(.binary, [UInt8](repeating: 0, count: 1001)).prefix(9))
        var position = 0
        var elements = bytes.mutableSpan
        var span = unsafe elements.mutableBytes
        let action = session.received(&span, position: &position)
        let error = WebSocketError.messageTooLarge(limit: 1000)
        #expect(
            action == .close(WebSocketClosing(code: .messageTooBig, cause: .error(error))))
    }

    @Test func theSessionIsSmall() {
        #expect(MemoryLayout<WebSocketParser>.size <= 24)
        #expect(MemoryLayout<WebSocketSession>.size <= 48)
    }

    // MARK: Text

    @Test(arguments: [
        "", "Hello-µ@ßöäüàá-UTF-8!!", "\u{0}", "\u{10FFFF}", "👩‍👩‍👧‍👦 κόσμε",
    ])
    func textMayBeCutInsideACharacter(string: String) {
        let bytes = [UInt8](string.utf8)
        #expect(read(frame(.text, bytes)) == [text(string)])
        var frames: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            frames += frame(index == 0 ? .text : .continuation, [byte], isFinal: false)
        }
        frames += frame(bytes.isEmpty ? .text : .continuation, [])
        #expect(read(frames) == [text(string)])
    }

    @Test(
        arguments: [
            [0xCE, 0xBA, 0xED, 0xA0, 0x80, 0x65], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF],
            [0x48, 0x65, 0x80], [0xE2, 0x82],  // the last one: cut short
        ] as [[UInt8]])
    func textThatIsNotUTF8ClosesWith1007(bytes: [UInt8]) {
        #expect(read(frame(.text, bytes)) == [failure(.invalidUTF8)])
        #expect(failure(.invalidUTF8) == .close(1007, .invalidUTF8))
        // Binary data is nobody's business.
        #expect(read(frame(.binary, bytes)) == [.message(isText: false, bytes)])
    }

    @Test func nonsenseIsNoticedBeforeTheMessageEnds() {
        let bad = frame(.text, [0x61, 0xC0], isFinal: false)
        #expect(read(bad) == [failure(.invalidUTF8)])
        // Even inside a frame of which most is still to come.
        let long = frame(.text, [0x61, 0xFF] + [UInt8](repeating: 0x61, count: 1000))
        #expect(read([UInt8](long.prefix(10))) == [failure(.invalidUTF8)])
    }

    // MARK: Closing

    @Test(arguments: [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
    func validCloseCodesAreEchoed(code: UInt16) {
        #expect(read(closeFrame(code)) == [.close(code, nil)])
        #expect(read(closeFrame(code, [UInt8]("bye ☂".utf8))) == [.close(code, nil)])
        var writer = ByteWriter(capacity: 16)
        WebSocketClosing(
            code: WebSocketCloseCode(rawValue: code), cause: .peer(reason: .empty)
        ).write(into: &writer)
        #expect(writer.array() == [0x88, 2, UInt8(code >> 8), UInt8(code & 255)])
    }

    @Test(
        arguments: [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
        ] as [UInt16])
    func invalidCloseCodesAreAProtocolError(code: UInt16) {
        #expect(read(closeFrame(code)) == [failure(.invalidCloseCode)])
    }

    @Test func aCloseWithoutCodeIsAnsweredWithoutCode() {
        #expect(read(frame(.close)) == [.close(1005, nil)])
        var writer = ByteWriter(capacity: 16)
        WebSocketClosing(code: .none, cause: .peer(reason: .empty)).write(into: &writer)
        #expect(writer.array() == [0x88, 0])
    }

    @Test func aCloseOfOneByteIsAProtocolError() {
        #expect(read(frame(.close, [0x03])) == [failure(.closePayloadTooShort)])
    }

    @Test func aCloseReasonIsText() {
        #expect(read(closeFrame(1000, [0xC0])) == [failure(.invalidUTF8)])
        #expect(read(closeFrame(1000, [0xE2, 0x82])) == [failure(.invalidUTF8)])
        let longest = [UInt8](repeating: 0x61, count: 123)
        #expect(read(closeFrame(1000, longest)) == [.close(1000, nil)])
    }

    @Test func nothingIsReadAfterAClose() {
        let bytes = frame(.text, "a") + closeFrame(1000) + frame(.ping, "late") + [0xFF, 0xFF]
        #expect(read(bytes) == [text("a"), .close(1000, nil)])
        var session = WebSocketSession()
        #expect(receive(&session, closeFrame(1001)) != .needMore)
        #expect(session.state == .closed)
        #expect(receive(&session, frame(.ping, "late")) == .closed)
        #expect(session.close() == false)
    }

    private func receive(_ session: inout WebSocketSession, _ bytes: [UInt8]) -> WebSocketAction {
        var bytes = bytes
        var position = 0
        var elements = bytes.mutableSpan
        var span = unsafe elements.mutableBytes
        return session.received(&span, position: &position)
    }

    @Test func pingIsAnsweredWhileClosing() {
        var session = WebSocketSession()
        #expect(session.close() == true)
        #expect(session.state == .closing)
        #expect(session.close() == false)  // one close frame is enough
        #expect(receive(&session, frame(.text, "too late")) == .needMore)
        #expect(receive(&session, frame(.ping, "hi")) == .sendPong(ByteRange(offset: 6, count: 2)))
        #expect(receive(&session, closeFrame(1000)) == .closed)
        #expect(session.state == .closed)
    }

    @Test func anErrorWhileClosingSendsNoSecondCloseFrame() {
        var session = WebSocketSession()
        #expect(session.close() == true)
        #expect(receive(&session, [0x83, 0x80]) == .closed)
    }

    @Test(arguments: [
        (WebSocketError.unsupportedData, UInt16(1003)), (.invalidCompression, 1007),
        (.internalError, 1011), (.messageTooLarge(limit: 1), 1009), (.notMasked, 1002),
    ])
    func theOwnerCanFailASession(error: WebSocketError, code: UInt16) {
        var session = WebSocketSession()
        let closing = WebSocketClosing(
            code: WebSocketCloseCode(rawValue: code), cause: .error(error))
        #expect(session.fail(error) == .close(closing))
        #expect(session.state == .closed)
        #expect(session.fail(error) == .closed)
        var writer = ByteWriter(capacity: 127)
        closing.write(into: &writer)
        #expect(read(unmaskedToMasked(writer.array())) == [.close(code, nil)])
    }

    /// What we wrote as a server, as if a client had sent it.
    private func unmaskedToMasked(_ bytes: [UInt8]) -> [UInt8] {
        [bytes[0], bytes[1] | 0x80, 0, 0, 0, 0] + bytes[2...]
    }

    // MARK: Compression

    @Test func compressedMessagesAreInflatedThenChecked() {
        // "Deflate" of this test: each byte stands for itself plus one.
        func inflate(_ bytes: [UInt8]) -> [UInt8] { bytes.map { $0 &- 1 } }
        func deflated(_ text: String) -> [UInt8] { text.utf8.map { $0 &+ 1 } }
        let bytes =
            frame(.text, deflated("Hél"), isFinal: false, isCompressed: true)
            + frame(.ping, "x") + frame(.continuation, deflated("lo"))
            + frame(.text, "plain") + frame(.binary, deflated("data"), isCompressed: true)
        #expect(
            read(bytes, allowsCompression: true, inflate: inflate) == [
                .pong([UInt8]("x".utf8)), text("Héllo"), text("plain"),
                .message(isText: false, [UInt8]("data".utf8)),
            ])
        let nonsense = frame(.text, [0x00], isCompressed: true)
        #expect(
            read(nonsense, allowsCompression: true, inflate: inflate) == [failure(.invalidUTF8)])
    }

    @Test func theLimitAppliesToTheInflatedSize() {
        let limits = WebSocketLimits(frameBytesMax: 100, messageBytesMax: 100)
        func inflate(_ bytes: [UInt8]) -> [UInt8] {
            bytes.flatMap { [UInt8](repeating: $0, count: 10) }
        }
        let fits = frame(.binary, [UInt8](repeating: 1, count: 10), isCompressed: true)
        #expect(
            read(fits, allowsCompression: true, limits: limits, inflate: inflate)
                == [.message(isText: false, [UInt8](repeating: 1, count: 100))])
        let bomb = frame(.binary, [UInt8](repeating: 1, count: 11), isCompressed: true)
        #expect(
            read(bomb, allowsCompression: true, limits: limits, inflate: inflate)
                == [failure(.messageTooLarge(limit: 100))])
    }

    @Test func onlyTheFirstFrameOfAMessageIsMarkedCompressed() {
        let bytes =
            frame(.text, [0x61], isFinal: false, isCompressed: true)
            + frame(.continuation, [0x61], isCompressed: true)
        #expect(read(bytes, allowsCompression: true) == [failure(.reservedBits)])
        #expect(
            read(frame(.ping, [], isCompressed: true), allowsCompression: true)
                == [failure(.reservedBits)])
        #expect(
            read(frame(.text, [0x61], isCompressed: true)) == [failure(.reservedBits)])
    }

    @Test func whatIsInflatedWhileClosingIsIgnored() {
        var session = WebSocketSession(allowsCompression: true)
        _ = receive(&session, frame(.text, [1, 2, 3], isCompressed: true))
        #expect(session.close() == true)
        #expect(unsafe session.inflated([0xFF].span.bytes, endsMessage: true) == .needMore)
        #expect(receive(&session, closeFrame(1000)) == .closed)
        #expect(unsafe session.inflated([0xFF].span.bytes, endsMessage: true) == .closed)
    }

    @Test func aMessageInflatedInSeveralPiecesIsOneMessage() {
        var session = WebSocketSession(allowsCompression: true)
        let part = WebSocketMessagePart(
            isText: true, payload: ByteRange(offset: 6, count: 3), isFirst: true, isLast: true)
        #expect(
            receive(&session, frame(.text, [1, 2, 3], isCompressed: true)) == .inflate(part))
        func give(_ bytes: [UInt8], _ endsMessage: Bool) -> WebSocketAction {
            unsafe session.inflated(bytes.span.bytes, endsMessage: endsMessage)
        }
        func delivered(_ count: Int, _ isFirst: Bool, _ isLast: Bool) -> WebSocketAction {
            .deliver(
                WebSocketMessagePart(
                    isText: true, payload: ByteRange(offset: 0, count: count), isFirst: isFirst,
                    isLast: isLast))
        }
        #expect(give([0x61, 0xE2], false) == delivered(2, true, false))
        #expect(give([0x82, 0xAC], false) == delivered(2, false, false))
        #expect(give([], true) == delivered(0, false, true))
    }
}
