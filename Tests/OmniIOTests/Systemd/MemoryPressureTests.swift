import Glibc
import OmniCore
import Testing

@testable import OmniIO

@Suite("MemoryPressure")
struct MemoryPressureTests {
    @Test func aShortageIsWhatTheKernelSignalsAsUrgent() async throws {
        // No machine is short of memory on demand; out-of-band data is the same poll event.
        try await RingFixture.run { io in
            let listener = try Sockets.listen(on: .ipv4(0x7F00_0001, port: 0))
            let address = try #require(Sockets.localAddress(of: listener.raw))
            let client = try Sockets.stream(for: address)
            try await io.connect(client.raw, to: address, until: io.now + .seconds(10))
            let server = try #require(try Sockets.acceptNow(listener.raw))
            let pressure = MemoryPressure("somewhere", Descriptor(server))
            do throws(SystemError) {
                try await pressure.next(io, until: io.now + .milliseconds(20))
                Issue.record("there was no shortage")
            } catch {
                #expect(error.isTimeout)
            }
            #expect(unsafe send(client.raw, [1] as [UInt8], 1, Int32(MSG_OOB)) == 1)
            try await pressure.next(io, until: io.now + .seconds(10))
        }
    }

    @Test func theFirstFileThatTakesATriggerIsWatched() {
        // A file that is no pressure file takes any text; one that is missing takes none.
        let path = "/tmp/omni2-pressure-\(getpid())"
        defer { unsafe unlink(path) }
        #expect(MemoryPressure.open(["/no/such/file", "/proc/version"]) == nil)
        close(unsafe creat(path, 0o600))
        #expect(MemoryPressure.open(["/no/such/file", path])?.path == path)
    }
}
