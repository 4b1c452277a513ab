import OmniCore
import OmniIO

/// A JSON-RPC batch of revision 2025-03-26: its messages are acted on in order, their answers go
/// back as one array when the last of them is there.
final class MCPBatch {
    private let gateway: Gateway
    private let session: GatewaySession
    private let call: Router.Call
    private var answers: [[UInt8]] = []
    private var missing = 0
    private var isRead = false

    /// Messages in one batch; more are refused together.
    private static let countMax = 100

    init(_ gateway: Gateway, _ session: GatewaySession, _ call: Router.Call) {
        self.gateway = gateway
        self.session = session
        self.call = call
    }

    func receive(_ batch: ByteRange, in bytes: RawSpan) {
        guard JSONScanner.count(of: batch, in: bytes) <= Self.countMax else {
            return call.fail(.badRequest, "A batch has at most \(Self.countMax) messages.")
        }
        var elements = JSONElements(of: batch, in: bytes)
        while let element = elements.next(in: bytes) {
            missing += 1
            do throws(RPCFailure) {
                let message = try RPCMessage.read(validated: element, in: bytes)
                MCPExchange(gateway, .handshake(session), call) { self.collect($0) }
                    .receive(message, in: bytes, of: session)
            } catch {
                var refusal: [UInt8] = []
                RPCWriter.failure(error, in: bytes, to: &refusal)
                collect(refusal)
            }
        }
        isRead = true
        finishIfComplete()
    }

    private func collect(_ answer: [UInt8]?) {
        missing -= 1
        if let answer { answers.append(answer) }
        finishIfComplete()
    }

    private func finishIfComplete() {
        guard isRead, missing == 0 else { return }
        if answers.isEmpty { return call.respond(HTTPResponse(.accepted)) }
        var json = JSONWriter()
        json.array { json in for answer in answers { json.raw(answer) } }
        call.respond(HTTPResponse(.ok, json: json.take()))
    }
}
