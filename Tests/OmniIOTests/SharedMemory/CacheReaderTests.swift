import CShims.Cache
import CShims.Linux
import Glibc
import Omni2Cache
import OmniCore
import Testing

@testable import OmniIO

/// Readers in this process over the descriptor that siblings are given; the clock is the real one.
@Suite("Cache readers")
struct CacheReaderTests {
    private let writer: CacheWriter

    init() throws {
        writer = try CacheWriter(configuration: .small(), at: BootClock.now())
    }

    private func reader() throws -> CacheReader {
        let descriptor = try writer.segment.readOnlyDescriptor()
        defer { close(descriptor) }
        return try CacheReader(descriptor: descriptor)
    }

    private func text(_ reader: CacheReader, _ name: String) -> String? {
        reader.get(.named(name)).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func readerSeesPutsReplacementsAndInvalidations() throws {
        let reader = try reader()
        #expect(text(reader, "a") == nil)
        writer.put("a", "one", at: BootClock.now())
        #expect(text(reader, "a") == "one")
        writer.put("a", "two", at: BootClock.now())
        #expect(text(reader, "a") == "two")
        #expect(reader.withValue(.named("a")) { $0.count } == 3)
        writer.invalidate(server: "s", tool: "t")
        #expect(text(reader, "a") == nil)
        writer.put("a", "three", at: BootClock.now())
        writer.invalidate(server: "s")
        #expect(text(reader, "a") == nil)
        writer.put("a", "four", at: BootClock.now())
        writer.invalidateAll()
        #expect(!reader.contains(.named("a")))
        writer.put("a", "", at: BootClock.now())
        #expect(text(reader, "a") == "")
        #expect(reader.statistics.hits == 4)
    }

    @Test func staleEntriesAreTheDaemonsAlone() throws {
        var configuration = CacheConfiguration.small()
        configuration.staleness = .seconds(100)
        let now = BootClock.now()
        let writer = try CacheWriter(configuration: configuration, at: now)
        let descriptor = try writer.segment.readOnlyDescriptor()
        defer { close(descriptor) }
        let reader = try CacheReader(descriptor: descriptor)
        let past = MonotonicTime(nanoseconds: now.nanoseconds - 50_000_000_000)
        let early = try CacheWriter(configuration: configuration, at: past)
        early.put("a", "old", ttl: .seconds(10), at: past)
        #expect(early.text("a", at: now) == nil)
        #expect(early.getStale(.named("a"), at: now)?.text == "old")
        #expect(early.getStale(.named("a"), at: now)?.isStale == true)
        #expect(early.getStale(.named("a"), at: now + .seconds(61)) == nil)
        writer.put("b", "new", ttl: .nanoseconds(1), at: now)
        #expect(!reader.contains(.named("b")))
        #expect(writer.getStale(.named("b"), at: BootClock.now())?.text == "new")
        writer.invalidate(server: "s")
        #expect(writer.getStale(.named("b"), at: BootClock.now()) == nil)
    }

    /// Stopped between the copy and the clock for longer than the entry lives: no answer.
    @Test func clockIsReadAfterTheCopy() throws {
        writer.put("a", "a", ttl: .seconds(10), at: BootClock.now())
        var view = unsafe omni2_view()
        let descriptor = try writer.segment.readOnlyDescriptor()
        defer { close(descriptor) }
        #expect(unsafe omni2_view_attach(&view, descriptor) == OMNI2_OK.rawValue)
        defer { unsafe omni2_view_detach(&view) }
        var key = CacheKey.named("a").shared
        var found = unsafe omni2_found()
        var buffer: UInt8 = 0
        let hash = unsafe omni2_hash(&view.geometry.seed.0, &key)
        #expect(unsafe omni2_view_take(&view, &key, hash, &buffer, 1, &found) == OMNI2_OK.rawValue)
        let now = BootClock.now().nanoseconds
        #expect(unsafe omni2_view_settle(&view, &found, now, nil) == OMNI2_OK.rawValue)
        let later = now + 11_000_000_000
        #expect(unsafe omni2_view_settle(&view, &found, later, nil) == OMNI2_MISS.rawValue)
    }

    @Test func silentWriterIsDistrustedAfterFifteenSeconds() throws {
        writer.put("a", "a", at: BootClock.now())
        var view = unsafe omni2_view()
        let descriptor = try writer.segment.readOnlyDescriptor()
        defer { close(descriptor) }
        #expect(unsafe omni2_view_attach(&view, descriptor) == OMNI2_OK.rawValue)
        defer { unsafe omni2_view_detach(&view) }
        func lookup() -> Int {
            var key = CacheKey.named("a").words
            var byte: UInt8 = 0
            return unsafe withUnsafeBytes(of: &key) {
                unsafe omni2_view_get(
                    &view, $0.bindMemory(to: UInt8.self).baseAddress, &byte, 1, nil)
            }
        }
        #expect(lookup() == 1)
        unsafe view.clock_offset = 16_000_000_000
        #expect(lookup() == Int(OMNI2_ORPHANED.rawValue))
        unsafe view.clock_offset = -16_000_000_000
        #expect(lookup() == Int(OMNI2_CLOCK.rawValue))
        unsafe view.clock_offset = 0
        writer.retire()
        #expect(lookup() == Int(OMNI2_RETIRED.rawValue))
    }

    @Test func descriptorAllowsNothingButReading() throws {
        let descriptor = try writer.segment.readOnlyDescriptor()
        defer { close(descriptor) }
        var address: UnsafeMutableRawPointer?
        #expect(unsafe omni2_map(descriptor, 4096, &address) == -EACCES)
        #expect(unsafe write(descriptor, "x", 1) == -1)
        #expect(ftruncate(descriptor, 0) != 0)
        #expect(ftruncate(writer.segment.descriptor, 0) != 0, "not even the owner can")
        #expect(ftruncate(writer.segment.descriptor, off_t(writer.segment.bytes) * 2) != 0)
        #expect(omni2_release(descriptor, 0, 4096) < 0)
        let seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL
        #expect(omni2_seals(descriptor) & seals == seals)
        var status = stat()
        #expect(unsafe fstat(descriptor, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }
}

extension CacheReaderKey {
    static func named(_ name: String) -> Self {
        var words = CacheKey.named(name).words
        return unsafe Self(bytes: withUnsafeBytes(of: &words) { unsafe Array($0) })!
    }
}
