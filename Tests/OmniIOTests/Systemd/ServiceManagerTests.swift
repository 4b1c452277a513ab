import Glibc
import Testing

@testable import OmniIO

@Suite("ServiceManager")
struct ServiceManagerTests {
    private let systemd = DatagramReceiver()

    private func manager(_ more: [String: String] = [:]) throws -> ServiceManager {
        let own = ["NOTIFY_SOCKET": systemd.path]
        return try ServiceManager(Environment(own.merging(more) { $1 }))
    }

    @Test func eachMessageSaysWhatSystemdExpects() throws {
        let manager = try manager()
        #expect(manager.isPresent)
        try manager.ready(status: "3 servers, 12 clients")
        try manager.status("two\nlines")
        try manager.stopping()
        try manager.watchdog()
        try manager.triggerWatchdog()
        try manager.extendTimeout(.seconds(5))
        try manager.mainProcess(42)
        try manager.failed(5, status: "no disk")
        #expect(
            systemd.receiveAll().map(\.text) == [
                "READY=1\nSTATUS=3 servers, 12 clients", "STATUS=two lines", "STOPPING=1",
                "WATCHDOG=1", "WATCHDOG=trigger", "EXTEND_TIMEOUT_USEC=5000000", "MAINPID=42",
                "ERRNO=5\nSTATUS=no disk",
            ])
    }

    @Test func reloadingCarriesTheMonotonicClock() throws {
        try manager().reloading(status: "reading")
        let lines = try #require(systemd.receive()).text.split(separator: "\n")
        #expect(lines.first == "RELOADING=1")
        #expect(lines.last == "STATUS=reading")
        let stamp = try #require(lines[1].split(separator: "=").last.flatMap { UInt64($0) })
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        let microseconds = UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1000
        #expect(stamp <= microseconds && microseconds - stamp < 60_000_000)
    }

    @Test func withoutAManagerEveryCallIsAccepted() throws {
        let manager = try ServiceManager([:])
        #expect(!manager.isPresent)
        #expect(manager.watchdogInterval == nil)
        try manager.ready()
        try manager.store([0], name: "nothing")
    }

    @Test func managerThatIsNotThereIsAnError() {
        #expect(throws: SystemError.self) {
            try ServiceManager(["NOTIFY_SOCKET": "/nonexistent/socket"])
        }
    }

    @Test func watchdogIntervalCountsForTheNamedProcessOnly() throws {
        #expect(try manager(["WATCHDOG_USEC": "600000"]).watchdogInterval == .milliseconds(600))
        let own = ["WATCHDOG_USEC": "600000", "WATCHDOG_PID": "\(getpid())"]
        #expect(try manager(own).watchdogInterval == .milliseconds(600))
        let other = ["WATCHDOG_USEC": "600000", "WATCHDOG_PID": "1"]
        #expect(try manager(other).watchdogInterval == nil)
        #expect(try manager(["WATCHDOG_USEC": "soon"]).watchdogInterval == nil)
    }

    @Test func descriptorsAreStoredUnderTheirNameInBatchesTheKernelTakes() throws {
        let manager = try manager()
        let file = makeTemporaryFile()
        defer { close(file) }
        unsafe write(file, "kept", 4)
        try manager.store(Array(repeating: file, count: 300), name: "ws", isPolled: false)
        let messages = systemd.receiveAll()
        #expect(messages.map(\.descriptors.count) == [253, 47])
        for message in messages {
            #expect(message.text == "FDSTORE=1\nFDNAME=ws\nFDPOLL=0")
            for descriptor in message.descriptors {
                #expect(content(of: descriptor) == Array("kept".utf8))
                close(descriptor)
            }
        }
        try manager.removeStored(name: "ws")
        #expect(systemd.receive()?.text == "FDSTOREREMOVE=1\nFDNAME=ws")
    }

    @Test func descriptorNamesAreThoseOfSystemd() {
        #expect(ServiceManager.isDescriptorName("ws.1-a"))
        for name in ["", "a:b", "a b", "a\n", "ü", String(repeating: "a", count: 256)] {
            #expect(!ServiceManager.isDescriptorName(name), "\(name)")
        }
    }
}
