import CShims.Cache
import CShims.Linux
import Omni2Cache
import OmniCore
import Testing

@testable import OmniIO

/// What readers and a recovering writer say to segments that are not, or no longer, what they
/// should be.
@Suite("Damaged cache segments")
struct CacheDamageTests {
    private let writer: CacheWriter

    init() throws {
        writer = try CacheWriter(configuration: .small(), at: BootClock.now())
        for index in 0..<60 {
            writer.put("k\(index)", "value \(index)", tool: "t\(index % 7)", at: BootClock.now())
        }
    }

    private func attachCode(_ descriptor: Int32) -> Int32 {
        do throws(CacheReaderError) {
            _ = try CacheReader(descriptor: descriptor)
            return 0
        } catch {
            return error.code
        }
    }

    private func recoveryError(
        _ configuration: CacheConfiguration = .small(), at now: MonotonicTime? = nil
    ) -> CacheRecoveryError? {
        do throws(CacheRecoveryError) {
            _ = try CacheWriter(
                recovering: dup(writer.segment.descriptor), configuration: configuration,
                at: now ?? BootClock.now())
            return nil
        } catch {
            return error
        }
    }

    private func patch(_ offset: Int, _ value: UInt32) {
        unsafe writer.segment.base.storeBytes(of: value, toByteOffset: offset, as: UInt32.self)
    }

    /// With a checksum that fits: a writer that lies rather than a bit that flipped.
    private func resign() {
        let geometry = unsafe writer.segment.base.assumingMemoryBound(to: omni2_geometry.self)
        unsafe geometry.pointee.checksum = unsafe omni2_geometry_checksum(geometry)
    }

    @Test func foreignDescriptorsAreRefused() throws {
        #expect(attachCode(-1) == OMNI2_E_SEALS.rawValue)
        let file = openTemporary()
        defer { close(file) }
        #expect(attachCode(file) == OMNI2_E_SEALS.rawValue)
        let other = try SharedSegment(name: "other", bytes: 8192)
        #expect(attachCode(other.descriptor) == OMNI2_E_MAGIC.rawValue)
        let short = try SharedSegment(name: "short", bytes: 100)
        #expect(attachCode(short.descriptor) == OMNI2_E_TRUNCATED.rawValue)
        for descriptor in [-1, dup(file), dup(other.descriptor), dup(short.descriptor)] {
            #expect(throws: CacheRecoveryError.notASegment) {
                try CacheWriter(
                    recovering: descriptor, configuration: .small(), at: BootClock.now())
            }
        }
    }

    @Test func damagedHeaderIsRefused() {
        patch(120, 7)
        #expect(attachCode(writer.segment.descriptor) == OMNI2_E_GEOMETRY.rawValue)
        #expect(recoveryError() == .notASegment)
    }

    @Test func otherVersionIsRefused() {
        patch(8, 2)
        resign()
        #expect(attachCode(writer.segment.descriptor) == OMNI2_E_VERSION.rawValue)
        patch(8, 1)
        patch(20, 1)
        resign()
        #expect(attachCode(writer.segment.descriptor) == OMNI2_E_VERSION.rawValue)
        #expect(recoveryError() == .notASegment)
    }

    @Test func headerThatClaimsMoreThanThereIsIsRefused() {
        unsafe writer.segment.base.storeBytes(
            of: UInt64(writer.segment.bytes) + 4096, toByteOffset: 32, as: UInt64.self)
        resign()
        #expect(attachCode(writer.segment.descriptor) == OMNI2_E_TRUNCATED.rawValue)
        #expect(recoveryError() == .notASegment)
    }

    @Test(arguments: [64, 72, 80, 88, 96, 104, 108, 112, 120])
    func rangesOutsideTheSegmentAreRefused(offset: Int) {
        patch(offset, 0xffff_ffc0)
        resign()
        #expect(attachCode(writer.segment.descriptor) == OMNI2_E_GEOMETRY.rawValue)
        #expect(recoveryError() == .notASegment)
    }

    @Test func retiredAndUnfinishedSegmentsAreNotContinued() {
        writer.retire()
        #expect(attachCode(writer.segment.descriptor) == OMNI2_E_STATE.rawValue)
        #expect(recoveryError() == .notLive)
        patch(192, 0)
        #expect(attachCode(writer.segment.descriptor) == OMNI2_E_STATE.rawValue)
        #expect(recoveryError() == .notLive)
    }

    @Test func otherBoundsAndOtherClocksAreNotContinued() {
        #expect(recoveryError(.small(entries: 101)) == .otherBounds)
        #expect(recoveryError(.small(bytes: 4 << 20)) == .otherBounds)
        #expect(recoveryError(at: .seconds(0)) == .otherClock)
        #expect(recoveryError() == nil)
    }

    /// Whatever the bytes say, a lookup ends inside the mapping and a recovery does not trap;
    /// what a recovery keeps has the right checksum.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func randomDamageNeverTrapsAnybody(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let reader = try CacheReader(descriptor: writer.segment.descriptor)
        let first = OMNI2_HEADER_BYTES
        let last = Int(writer.geometry.value_offset) + 16384
        for _ in 0..<40 {
            for _ in 0..<200 {
                let offset = Int.random(in: first..<last, using: &random)
                unsafe writer.segment.base.storeBytes(
                    of: UInt8.random(in: 0...255, using: &random), toByteOffset: offset,
                    as: UInt8.self)
            }
            for index in 0..<60 { _ = reader.get(.named("k\(index)")) }
        }
        let next = try CacheWriter(
            recovering: dup(writer.segment.descriptor), configuration: .small(),
            at: BootClock.now())
        for index in 0..<60 {
            if let value = next.text("k\(index)", at: BootClock.now()) {
                #expect(value == "value \(index)", "seed \(seed)")
            }
        }
        for index in 0..<300 { next.put("n\(index)", "\(index)", at: BootClock.now()) }
        for index in 200..<300 {
            #expect(next.text("n\(index)", at: BootClock.now()) == "\(index)", "seed \(seed)")
        }
    }

    private func openTemporary() -> Int32 {
        var path = Array("/tmp/omni2-XXXXXX".utf8CString)
        let file = unsafe mkstemp(&path)
        unsafe unlink(path)
        return file
    }
}
