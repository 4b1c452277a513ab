import Glibc
import OmniCore
import OmniIO
import Testing

@Suite("LineSocket")
struct LineSocketTests {
    /// The program at the other end, and what the line socket told.
    private final class Scene {
        let io: RingIO
        let peer: Int32
        let socket: LineSocket
        let told: Told

        final class Told {
            var lines: [String] = []
            var tooLong = 0
            var endings = 0
        }

        init(_ io: RingIO, _ limits: LineSocket.Limits = .init()) async throws {
            self.io = io
            let path = "/tmp/omni2-line-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
            defer { unsafe unlink(path) }
            let listener = try Sockets.listen(on: .path(path))
            let told = Told()
            var callbacks = LineSocket.Callbacks()
            callbacks.line = { told.lines.append(String(decoding: $0, as: UTF8.self)) }
            callbacks.lineTooLong = { _ in told.tooLong += 1 }
            callbacks.ended = { told.endings += 1 }
            socket = try await LineSocket.connect(
                path, io: io, until: io.now + .seconds(10), limits: limits, callbacks: callbacks)
            peer = try #require(try Sockets.acceptNow(listener.raw))
            self.told = told
        }

        deinit { close(peer) }

        func say(_ text: String) async throws {
            let bytes = Array(text.utf8)
            var sent = 0
            while sent < bytes.count {
                sent += try await io.sendCopy(peer, Array(bytes[sent...]))
            }
        }

        /// What the program reads until `count` bytes have come, or the end.
        func heard(_ count: Int) async throws -> [UInt8] {
            let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 1)
            defer { unsafe chunk.deallocate() }
            var bytes: [UInt8] = []
            while bytes.count < count {
                let got = try unsafe await io.receive(
                    on: peer, into: chunk, until: io.now + .seconds(10))
                if got == 0 { break }
                unsafe bytes.append(contentsOf: chunk[..<got])
            }
            return bytes
        }

        func wait(_ condition: () -> Bool) async -> Bool {
            for _ in 0..<2000 where !condition() {
                await io.sleep(until: io.now + .milliseconds(5))
            }
            return condition()
        }
    }

    @Test func linesGoBothWays() async throws {
        try await RingFixture.run { io in
            let scene = try await Scene(io)
            try scene.socket.send(Array("{\"id\": 1}\n".utf8))
            #expect(try await scene.heard(10) == Array("{\"id\": 1}\n".utf8))
            try await scene.say("one\r\n\ntw")
            try await scene.say("o\n")
            #expect(await scene.wait { scene.told.lines == ["one", "two"] })
            scene.socket.close()
            #expect(await scene.socket.waitForEnd(until: io.now + .seconds(10)))
            #expect(scene.told.endings == 0, "who closes is not called back")
        }
    }

    @Test func largeMessagesCrossAProgramThatReadsSlowly() async throws {
        try await RingFixture.run { io in
            let scene = try await Scene(io)
            let large = [UInt8](repeating: 120, count: 3 << 20) + [10]
            try scene.socket.send(large)
            try scene.socket.send(Array("end\n".utf8))
            #expect(try await scene.heard(large.count + 4) == large + Array("end\n".utf8))
        }
    }

    @Test func theEndIsToldOnceAfterTheLastLine() async throws {
        try await RingFixture.run { io in
            let scene = try await Scene(io)
            try await scene.say("last words")
            shutdown(scene.peer, Int32(SHUT_RDWR))
            #expect(await scene.socket.waitForEnd(until: io.now + .seconds(10)))
            #expect(scene.told.lines == ["last words"])
            #expect(scene.told.endings == 1)
            #expect(throws: LineSocket.Failure.closed) { try scene.socket.send([10]) }
        }
    }

    @Test func closingOurDirectionLeavesTheOther() async throws {
        try await RingFixture.run { io in
            let scene = try await Scene(io)
            try scene.socket.send(Array("bye\n".utf8))
            scene.socket.closeOutput()
            #expect(try await scene.heard(100) == Array("bye\n".utf8), "all of it, then the end")
            #expect(throws: LineSocket.Failure.closed) { try scene.socket.send([10]) }
            try await scene.say("bye too\n")
            #expect(await scene.wait { scene.told.lines == ["bye too"] })
        }
    }

    @Test func whatAProgramDoesNotReadIsBounded() async throws {
        try await RingFixture.run { io in
            var limits = LineSocket.Limits()
            limits.pendingBytesMax = 1 << 20
            limits.lineBytesMax = 10
            let scene = try await Scene(io, limits)
            #expect(throws: LineSocket.Failure.backlog(bytesMax: 1 << 20)) {
                for _ in 0..<64 { try scene.socket.send([UInt8](repeating: 10, count: 64 << 10)) }
            }
            try await scene.say("a line of many bytes\nshort\n")
            #expect(await scene.wait { scene.told.lines == ["short"] })
            #expect(scene.told.tooLong == 1)
            scene.socket.close()
        }
    }

    @Test func aSocketThatIsNotThereSaysSo() async throws {
        try await RingFixture.run { io in
            for path in [
                "/no/such/socket", "relative.sock", "/" + String(repeating: "x", count: 200),
            ] {
                var failure: SystemError?
                do throws(SystemError) {
                    _ = try await LineSocket.connect(
                        path, io: io, until: io.now + .seconds(10), callbacks: .init())
                } catch {
                    failure = error
                }
                #expect(failure != nil, "\(path)")
                #expect(failure?.isMissing == (path == "/no/such/socket"))
            }
        }
    }
}

extension RingIO {
    fileprivate func sendCopy(_ descriptor: Int32, _ bytes: [UInt8]) async throws -> Int {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { unsafe copy.deallocate() }
        unsafe copy.copyBytes(from: bytes)
        return try unsafe await send(
            on: descriptor, UnsafeRawBufferPointer(copy), until: now + .seconds(10))
    }
}
