import Glibc
import OmniCore
import Testing

@testable import OmniIO

@Suite("RingIO")
struct RingIOTests {
    @Test func bytesWrittenToAPipeAreRead() async throws {
        try await RingFixture.run { io in
            let (reader, writer) = try pipePair()
            let sent = unsafe try await Array("hello".utf8).withBytes { bytes in
                unsafe try await io.write(to: writer, bytes, until: io.now + .seconds(5))
            }
            #expect(sent == 5)
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
            defer { unsafe memory.deallocate() }
            let count = unsafe try await io.read(
                from: reader, into: memory, until: io.now + .seconds(5))
            #expect(unsafe String(decoding: memory.prefix(count), as: UTF8.self) == "hello")
            close(reader)
            close(writer)
        }
    }

    /// One completion says that the message failed, the other that the descriptor did its work.
    @Test func aRingThatCannotBeRungIsWokenByItsDescriptor() async throws {
        try await RingFixture.run { io in
            let before = io.statistics.completions
            io.ring(RingAddress(descriptor: STDIN_FILENO, executor: io.executor))
            await io.sleep(until: io.now + .milliseconds(20))
            #expect(io.statistics.completions - before == 2)
        }
    }

    @Test func waitEndsWithTimeoutWhenNothingArrives() async throws {
        try await RingFixture.run { io in
            let (reader, writer) = try pipePair()
            await #expect(throws: SystemError("poll", ETIMEDOUT)) {
                _ = try await io.readiness(
                    of: reader, .readable, until: io.now + .milliseconds(20))
            }
            close(reader)
            close(writer)
        }
    }

    @Test func manySleepersWakeInOrderOfTheirDeadlines() async throws {
        try await RingFixture.run { io in
            let order = Order()
            let done = Promise<Bool>(io)
            for delay in [30, 10, 20] {
                io.spawn {
                    await io.sleep(until: io.now + .milliseconds(delay))
                    order.values.append(delay)
                    if order.values.count == 3 { done.fulfil(true) }
                }
            }
            _ = await done.value(until: io.now + .seconds(5))
            #expect(order.values == [10, 20, 30])
        }
    }

    @Test func promiseWakesEveryWaiterAndOthersTimeOut() async throws {
        try await RingFixture.run { io in
            let promise = Promise<String>(io)
            #expect(await promise.value(until: io.now + .milliseconds(5)) == nil)
            io.spawn { promise.fulfil("ready") }
            #expect(await promise.value(until: io.now + .seconds(5)) == "ready")
            #expect(promise.fulfil("again") == false)
            #expect(await promise.value(until: .zero) == "ready")
        }
    }

    @Test func offloadedWorkRunsElsewhereAndResumesHere() async throws {
        try await RingFixture.run { io in
            let here = pthread_self()
            let there = await io.offload { pthread_self() }
            #expect(here != there)
            #expect(here == pthread_self())
        }
    }

    @Test func connectAndExchangeOverLoopback() async throws {
        try await RingFixture.run { io in
            let listener = try Sockets.listen(on: SocketAddress("127.0.0.1:0")!)
            let address = try #require(Sockets.localAddress(of: listener.raw))
            let client = try Sockets.stream(for: address)
            try await io.connect(client.raw, to: address, until: io.now + .seconds(5))
            #expect(Sockets.peerAddress(of: client.raw) == address)
            let refused = try Sockets.stream(for: address)
            let closed = SocketAddress("127.0.0.1:1")!
            await #expect(throws: SystemError("connect", ECONNREFUSED)) {
                try await io.connect(refused.raw, to: closed, until: io.now + .seconds(5))
            }
        }
    }
}

/// The rule the whole house rests on: a resumed task comes back by one pass through the executor,
/// from the ring thread itself. A toolchain that changes this fails here, not in production.
@Suite("Executor guard")
struct ExecutorGuardTests {
    @Test func anAwaitedCompletionIsOneEnqueueFromTheRingThread() async throws {
        try await RingFixture.run { io in
            let (reader, writer) = try pipePair()
            // Writable at once: each await is one completion of the ring.
            let executor = io.executor
            _ = try await io.readiness(of: writer, .writable, until: io.now + .seconds(5))
            let before = executor.passes
            for _ in 0..<100 {
                _ = try await io.readiness(of: writer, .writable, until: io.now + .seconds(5))
            }
            let after = executor.passes
            #expect(after.local - before.local == 100)
            #expect(after.foreign == before.foreign)
            close(reader)
            close(writer)
        }
    }

    @Test func spawnedTasksAndPlainCallsStayOnTheRing() async throws {
        try await RingFixture.run { io in
            let executor = io.executor
            let before = executor.passes
            for _ in 0..<50 {
                let done = Promise<Bool>(io)
                io.spawn {
                    #expect(executor.isOnRingThread)
                    await Service().work(executor)
                    done.fulfil(true)
                }
                #expect(await done.value(until: io.now + .seconds(5)) == true)
            }
            #expect(executor.passes.foreign == before.foreign)
        }
    }
}

private final class Service {
    func work(_ executor: LoopExecutor) async { #expect(executor.isOnRingThread) }
}

private final class Order {
    var values: [Int] = []
}

func pipePair() throws -> (reader: Int32, writer: Int32) {
    var pair: [Int32] = [0, 0]
    guard unsafe pipe(&pair) == 0 else { throw SystemError("pipe", errno) }
    return (pair[0], pair[1])
}

extension Array where Element == UInt8 {
    /// Lends the bytes across an await: the copy lives in memory of its own.
    func withBytes<Value>(
        _ body: (UnsafeRawBufferPointer) async throws -> Value
    ) async rethrows -> Value {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        defer { unsafe memory.deallocate() }
        unsafe memory.copyBytes(from: self)
        return unsafe try await body(UnsafeRawBufferPointer(memory))
    }
}
