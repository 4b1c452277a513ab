import Glibc
import Testing

@testable import OmniIO

/// The sockets are made here and moved to a run of high numbers, as if systemd had passed them there.
@Suite("ActivatedSockets", .serialized)
struct ActivatedSocketsTests {
    /// Hundreds of tests run beside this one, and the kernel gives them the lowest numbers.
    private let first: Int32 = {
        var files = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        return Int32(min(files.rlim_cur, 16_384)) - 64
    }()

    private func make(_ family: Int32, _ type: __socket_type, listening: Bool) -> Int32 {
        let descriptor = socket(family, Int32(type.rawValue), 0)
        if listening {
            if family == AF_UNIX {
                #expect(bindUnix(descriptor) == 0)
            }
            #expect(listen(descriptor, 1) == 0)
        }
        return descriptor
    }

    /// Moves the descriptors to `first...`; they are closed when `body` is done.
    private func pass(_ descriptors: [Int32], _ body: () throws -> Void) rethrows {
        for (index, descriptor) in descriptors.enumerated() {
            // Not dup2, which would close what another test has there.
            #expect(fcntl(descriptor, F_DUPFD, first + Int32(index)) == first + Int32(index))
            close(descriptor)
        }
        defer { for index in descriptors.indices { close(first + Int32(index)) } }
        try body()
    }

    private func environment(_ count: Int, _ names: String?) -> Environment {
        var variables = ["LISTEN_FDS": "\(count)", "LISTEN_PID": "\(getpid())"]
        variables["LISTEN_FDNAMES"] = names
        return Environment(variables)
    }

    @Test func eachPassedDescriptorIsNamedAndInspected() throws {
        let descriptors = [
            make(AF_INET, SOCK_STREAM, listening: true),
            make(AF_INET6, SOCK_STREAM, listening: true),
            make(AF_UNIX, SOCK_STREAM, listening: true),
            make(AF_UNIX, SOCK_SEQPACKET, listening: true),
            make(AF_INET, SOCK_STREAM, listening: false),
            make(AF_UNIX, SOCK_DGRAM, listening: false), makeTemporaryFile(),
        ]
        try pass(descriptors) {
            let sockets = try ActivatedSockets(
                environment(7, "http:http:admin:cache:ws:notes:segment"), firstDescriptor: first)
            #expect(
                sockets.all.map(\.kind) == [
                    .listener(.ip4), .listener(.ip6), .listener(.unix), .packetListener(.unix),
                    .connection(.ip4), .datagram(.unix), .other,
                ])
            #expect(sockets["http"].map(\.descriptor) == [first, first + 1])
            #expect(sockets["cache"].first?.descriptor == first + 3)
            #expect(sockets["nobody"].isEmpty)
            #expect(
                sockets.names(besides: ["http", "admin", "cache", "ws"]) == ["notes", "segment"])
            for passed in sockets.all {
                #expect(fcntl(passed.descriptor, F_GETFD) & FD_CLOEXEC != 0)
            }
        }
    }

    @Test func descriptorsForAnotherProcessAreNotTaken() throws {
        try pass([make(AF_INET, SOCK_STREAM, listening: true)]) {
            let sockets = try ActivatedSockets(
                ["LISTEN_FDS": "1", "LISTEN_PID": "1"], firstDescriptor: first)
            #expect(sockets.isEmpty)
        }
    }

    @Test func withoutNamesTheyAreUnknown() throws {
        try pass([make(AF_INET, SOCK_STREAM, listening: true)]) {
            let sockets = try ActivatedSockets(environment(1, nil), firstDescriptor: first)
            #expect(sockets.all.map(\.name) == ["unknown"])
        }
    }

    @Test(arguments: ["", "0", "-1", "three"])
    func nonsenseCountsAsNothing(count: String) throws {
        let environment: Environment = ["LISTEN_FDS": count, "LISTEN_PID": "\(getpid())"]
        #expect(try ActivatedSockets(environment, firstDescriptor: first).isEmpty)
    }

    @Test func closedDescriptorIsASystemError() {
        #expect(throws: SystemError("fcntl", EBADF)) {
            try ActivatedSockets(environment(1, "http"), firstDescriptor: 2_000_000)
        }
    }
}
