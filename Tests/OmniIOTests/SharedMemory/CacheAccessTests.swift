import CShims.Cache
import CShims.Linux
import CacheTestSupport
import Glibc
import Omni2Cache
import OmniCore
import Testing

@testable import OmniIO

@Suite("Cache access")
struct CacheAccessTests {
    private let writer: CacheWriter
    private let ours: Int32
    private let theirs: Int32

    init() throws {
        writer = try CacheWriter(configuration: .small(entries: 10), at: BootClock.now())
        var pair: [Int32] = [0, 0]
        #expect(unsafe socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &pair) == 0)
        (ours, theirs) = (pair[0], pair[1])
    }

    private func hello(majors: UInt64 = 2, magic: UInt64 = 0x4f4c_4c45_4832_4d4f) {
        var message = omni2_hello(
            magic: magic, protocol: 1, features: UInt32(OMNI2_HELLO_WANTS_AREA), majors: majors,
            clock: 0)
        #expect(unsafe send(theirs, &message, 32, 0) == 32)
    }

    private func answer(
        _ access: CacheAccess = CacheAccess(allowsSameUser: true),
        permits: (CacheAccess.Peer) -> Bool = { _ in true }
    ) -> CacheAccess.Outcome {
        access.answer(ours, writer: writer, at: BootClock.now(), permits: permits)
    }

    /// The status in the WELCOME, and the descriptors that came with it.
    private func welcome() -> (status: UInt32, descriptors: [Int32]) {
        var message = omni2_welcome()
        var fds: [Int32] = [-1, -1]
        let count = unsafe cache_test_receive(theirs, &message, 56, &fds)
        #expect(count == 56)
        return (message.status, fds.filter { $0 >= 0 })
    }

    private var me: CacheAccess.Peer {
        CacheAccess.Peer(uid: getuid(), gid: getgid(), pid: getpid())
    }

    @Test func peerGetsTheSegmentReadOnlyAndAnAreaOfItsOwn() throws {
        #expect(answer() == .pending)
        hello()
        #expect(answer() == .welcomed(me))
        let (status, descriptors) = welcome()
        defer { descriptors.forEach { close($0) } }
        #expect(status == 0)
        #expect(descriptors.count == 2)
        var address: UnsafeMutableRawPointer?
        #expect(unsafe omni2_map(descriptors[0], 4096, &address) == -EACCES)
        #expect(unsafe omni2_map(descriptors[1], 4096, &address) == 0)
        #expect(writer.statistics.attaches == 1)
        #expect(writer.statistics.readers == 1)
    }

    @Test func ownUserIsRefusedUnlessAllowed() {
        hello()
        #expect(answer(CacheAccess()) == .refused(me, .sameUser))
        let (status, descriptors) = welcome()
        #expect(status == OMNI2_WELCOME_SAME_USER.rawValue)
        #expect(descriptors.isEmpty)
        #expect(writer.statistics.attachesRefused == 1)
    }

    @Test func policyDecidesOverCredentials() {
        hello()
        #expect(answer { $0.uid != getuid() } == .refused(me, .forbidden))
        #expect(welcome().status == OMNI2_WELCOME_FORBIDDEN.rawValue)
    }

    @Test func otherLayoutsAndProtocolsAreToldSo() {
        hello(majors: 1 << 2)
        #expect(answer() == .refused(me, .versionUnknown))
        #expect(welcome().status == OMNI2_WELCOME_VERSION.rawValue)
        hello(magic: 1)
        #expect(answer() == .refused(me, .protocolUnknown))
        #expect(welcome().status == OMNI2_WELCOME_PROTOCOL.rawValue)
        #expect(unsafe send(theirs, "GET / HTTP/1.1", 14, 0) == 14)
        #expect(answer() == .refused(me, .protocolUnknown))
    }

    @Test func withoutASegmentThePeerIsToldSo() {
        hello()
        let outcome = CacheAccess(allowsSameUser: true).answer(
            ours, writer: nil, at: BootClock.now())
        #expect(outcome == .refused(me, .unavailable))
        #expect(welcome().status == OMNI2_WELCOME_UNAVAILABLE.rawValue)
    }

    @Test func peerThatLeavesIsAFailure() {
        close(theirs)
        guard case .failed = answer() else {
            Issue.record("a closed connection is a failure")
            return
        }
    }

    /// What a sibling uses survives an eviction that its own hits could not have prevented.
    @Test func touchedEntryGetsASecondChance() throws {
        hello()
        #expect(answer() == .welcomed(me))
        let (_, descriptors) = welcome()
        var view = unsafe omni2_view()
        #expect(unsafe omni2_view_attach(&view, descriptors[0]) == 0)
        #expect(unsafe omni2_view_attach_area(&view, descriptors[1]) == 0)
        descriptors.forEach { close($0) }
        defer { unsafe omni2_view_detach(&view) }
        for index in 0..<10 { writer.put("k\(index)", "\(index)", at: BootClock.now()) }
        #expect(unsafe lookup(&view, "k0") == 1)
        #expect(unsafe lookup(&view, "none") == Int(OMNI2_MISS.rawValue))
        writer.put("k10", "10", at: BootClock.now())
        #expect(writer.contains(.named("k0"), at: BootClock.now()))
        #expect(!writer.contains(.named("k1"), at: BootClock.now()))
        #expect(writer.statistics.secondChances == 1)
        writer.sweep(at: BootClock.now())
        #expect(writer.statistics.readerHits == 1)
        #expect(writer.statistics.readerMisses == 1)
    }

    /// All ones, and counters that run backwards: the writer stays exact and bounded.
    @Test func hostileAreaHarmsRecencyOnly() throws {
        hello()
        #expect(answer() == .welcomed(me))
        let (_, descriptors) = welcome()
        defer { descriptors.forEach { close($0) } }
        var address: UnsafeMutableRawPointer?
        #expect(unsafe omni2_map(descriptors[1], 4096 + 10, &address) == 0)
        let area = unsafe address!
        for index in 0..<10 { writer.put("k\(index)", "\(index)", at: BootClock.now()) }
        for round in 0..<50 {
            unsafe memset(area + 16, Int32(round % 2 == 0 ? 0xff : 0), 48)
            unsafe memset(area + 4096, 0xff, 10)
            #expect(writer.put("n\(round)", "\(round)", at: BootClock.now()) == .stored)
            writer.sweep(at: BootClock.now())
        }
        #expect(writer.statistics.entries == 10)
        #expect(writer.statistics.readerHits <= 1 << 32)
        unsafe munmap(area, 4106)
    }

    private func lookup(_ view: inout omni2_view, _ name: String) -> Int {
        var key = CacheKey.named(name).words
        var bytes: UInt64 = 0
        return unsafe withUnsafeBytes(of: &key) {
            unsafe omni2_view_get(
                &view, $0.bindMemory(to: UInt8.self).baseAddress, &bytes, 8, nil)
        }
    }
}
