#if canImport(OmniCore)
import OmniCore
#endif

/// What a parser made of a stream of requests, whatever the pieces it came in: body pieces are
/// joined. Plays the connection: gathers bytes, drops a request when it is complete.
enum HTTPTranscript {
    enum Entry: Hashable {
        case head(HeadSummary)
        case body([UInt8])
        case complete(bytes: Int)
        case refused(HTTPError)
    }

    static func read(
        _ bytes: [UInt8], cut: Cut, limits: HTTPLimits = HTTPLimits(), dropsEarly: Bool = false
    ) -> [Entry] {
        var entries: [Entry] = []
        var buffer: [UInt8] = []
        var parser = HTTPRequestParser()
        var head = HTTPRequestHead()
        var droppedBytes = 0
        for piece in cut.pieces(of: bytes) {
            buffer += piece
            reading: while true {
                let step: HTTPRequestParser.Step
                do throws(HTTPError) {
                    step = try unsafe parser.next(
                        in: buffer.span.bytes, limits: limits, head: &head)
                } catch {
                    entries.append(.refused(error))
                    return entries
                }
                switch step {
                case .needMore: break reading
                case .head: entries.append(.head(HeadSummary(head, buffer)))
                case .body(let range):
                    append([UInt8](buffer[range.range]), to: &entries)
                    if dropsEarly {
                        droppedBytes += parser.consumed
                        buffer.removeFirst(parser.consumed)
                        parser.dropped(parser.consumed)
                    }
                case .complete:
                    entries.append(.complete(bytes: droppedBytes + parser.consumed))
                    buffer.removeFirst(parser.consumed)
                    droppedBytes = 0
                    parser.reset()
                    if buffer.isEmpty { break reading }
                }
            }
        }
        return entries
    }

    private static func append(_ piece: [UInt8], to entries: inout [Entry]) {
        if case .body(let before) = entries.last {
            entries[entries.count - 1] = .body(before + piece)
        } else {
            entries.append(.body(piece))
        }
    }
}

/// A head as text, for comparison.
struct HeadSummary: Hashable {
    var method: HTTPMethod
    var methodName: String
    var version: HTTPVersion
    var target: String
    var path: String
    var query: String
    var authority: String
    var headers: [String]
    var body: HTTPBodyLength
    var keepsAlive: Bool
    var expectsContinue: Bool
    var byteCount: Int

    init(_ head: HTTPRequestHead, _ buffer: [UInt8]) {
        func text(_ range: ByteRange) -> String {
            String(decoding: buffer[range.range], as: UTF8.self)
        }
        method = head.method
        methodName = text(head.methodName)
        version = head.version
        target = text(head.target)
        path = text(head.path)
        query = text(head.query)
        authority = text(head.authority)
        headers = (0..<head.headerCount).map { index in
            let header = head.header(at: index)
            return text(header.name) + "=" + text(header.value)
        }
        body = head.body
        keepsAlive = head.keepsAlive
        expectsContinue = head.expectsContinue
        byteCount = head.byteCount
    }
}
