import Glibc
import OmniCore
import OmniIO
import Testing

/// A server that does exactly what a test tells it, well or badly, on the ring of the test.
final class ScriptedServer {
    struct Request {
        var head: String
        var body: [UInt8]
        /// Which connection it came on, counted from one.
        var connection: Int

        func header(_ name: String) -> String? {
            for line in head.utf8.split(whereSeparator: { $0 == 13 || $0 == 10 }).dropFirst() {
                let parts = String(line)?.split(
                    separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                if let parts, parts.count == 2, parts[0].lowercased() == name {
                    return String(parts[1].drop { $0 == " " })
                }
            }
            return nil
        }

        var line: String { String(head.utf8.prefix { $0 != 13 }) ?? "" }
    }

    final class Connection {
        let io: RingIO
        let descriptor: Int32
        let number: Int
        init(io: RingIO, descriptor: Int32, number: Int) {
            self.io = io
            self.descriptor = descriptor
            self.number = number
        }

        func send(_ text: String) async { await send(Array(text.utf8)) }

        /// False when the client has gone.
        @discardableResult
        func send(_ bytes: [UInt8]) async -> Bool {
            var sent = 0
            while sent < bytes.count {
                let part = Array(bytes[sent...].prefix(64 << 10))
                do {
                    sent += unsafe try await part.withBytes { bytes in
                        unsafe try await io.send(
                            on: descriptor, bytes, until: io.now + .seconds(20))
                    }
                } catch { return false }
            }
            return true
        }

        func respond(_ body: String, status: String = "200 OK", headers: String = "") async {
            await send(
                "HTTP/1.1 \(status)\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }

        /// Ends with RST instead of FIN.
        func reset() {
            var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
            _ = unsafe setsockopt(
                descriptor, SOL_SOCKET, SO_LINGER, &linger,
                socklen_t(MemoryLayout<linger>.size))
        }

        /// Nil when the client has closed.
        func receive() async -> [UInt8]? {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 1)
            defer { unsafe memory.deallocate() }
            let count = try? unsafe await io.receive(
                on: descriptor, into: memory, until: io.now + .seconds(20))
            guard let count, count > 0 else { return nil }
            return unsafe Array(memory.prefix(count))
        }
    }

    enum Next { case keep, close }
    typealias Script = (Request, Connection) async -> Next

    private let io: RingIO
    private let listener: Int32
    let address: SocketAddress
    private(set) var requests: [Request] = []
    private(set) var connections = 0
    private(set) var closedConnections = 0
    private let script: Script

    init(
        _ io: RingIO, on address: SocketAddress = SocketAddress("127.0.0.1:0")!,
        _ script: @escaping Script
    ) throws {
        self.io = io
        self.script = script
        listener = try Sockets.listen(on: address).take()
        self.address = Sockets.localAddress(of: listener) ?? address
        io.spawn { await self.acceptAll() }
    }

    var url: String {
        guard case .ipv4(_, let port) = address else { return "" }
        return "http://127.0.0.1:\(port)"
    }

    func stop() { Sockets.shutdown(listener) }

    private func acceptAll() async {
        while true {
            let events = try? await io.readiness(
                of: listener, .readable, until: io.now + .seconds(30))
            guard let events, !events.contains(.hungUp) else { break }
            let next = Result { try Sockets.acceptNow(listener) }
            guard case .success(let accepted) = next else { break }
            guard let descriptor = accepted else { continue }
            connections += 1
            let connection = Connection(io: io, descriptor: descriptor, number: connections)
            io.spawn { await self.serve(connection) }
        }
        close(listener)
    }

    private func serve(_ connection: Connection) async {
        var buffer: [UInt8] = []
        while let request = await next(&buffer, connection) {
            requests.append(request)
            if await script(request, connection) == .close { break }
        }
        closedConnections += 1
        close(connection.descriptor)
    }

    private func next(_ buffer: inout [UInt8], _ connection: Connection) async -> Request? {
        while true {
            let text = String(decoding: buffer, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let head = String(text[..<end])
                let headBytes = head.utf8.count + 4
                var request = Request(head: head, body: [], connection: connection.number)
                let length = request.header("content-length").flatMap { Int($0) } ?? 0
                if buffer.count >= headBytes + length {
                    request.body = Array(buffer[headBytes..<(headBytes + length)])
                    buffer.removeFirst(headBytes + length)
                    return request
                }
            }
            guard let bytes = await connection.receive() else { return nil }
            buffer += bytes
        }
    }
}

extension String {
    /// Where a piece of ASCII begins.
    func range(of piece: String) -> String.Index? {
        var index = startIndex
        while index < endIndex {
            if self[index...].utf8.starts(with: piece.utf8) { return index }
            index = utf8.index(after: index)
        }
        return nil
    }
}
