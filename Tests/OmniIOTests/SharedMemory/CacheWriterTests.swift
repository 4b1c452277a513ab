import CShims.Linux
import OmniCore
import Testing

@testable import OmniIO

@Suite("Cache writer")
struct CacheWriterTests {
    @Test func valueComesBackUntilItsTimeIsOver() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        #expect(writer.put("a", "one", at: .seconds(1)) == .stored)
        #expect(writer.text("a", at: .seconds(2)) == "one")
        #expect(writer.text("a", at: .seconds(301)) == nil)
        #expect(writer.statistics.hits == 1)
        #expect(writer.statistics.misses == 1)
    }

    @Test func replacementReturnsTheNewValue() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        #expect(writer.put("a", "one", at: .seconds(1)) == .stored)
        #expect(writer.put("a", "another, longer value", at: .seconds(2)) == .replaced)
        #expect(writer.text("a", at: .seconds(3)) == "another, longer value")
        #expect(writer.statistics.entries == 1)
    }

    @Test func emptyValueIsAValue() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        #expect(writer.put("a", "", at: .seconds(1)) == .stored)
        #expect(writer.text("a", at: .seconds(1)) == "")
        #expect(writer.put("a", "x", at: .seconds(1)) == .replaced)
        #expect(writer.put("a", "", at: .seconds(1)) == .replaced)
        #expect(writer.text("a", at: .seconds(1)) == "")
        #expect(writer.statistics.bytesUsed == 0)
    }

    @Test func leastRecentlyUsedMakesRoom() throws {
        let writer = try CacheWriter(configuration: .small(entries: 3), at: .seconds(1))
        for name in ["a", "b", "c"] { writer.put(name, name, at: .seconds(1)) }
        #expect(writer.text("a", at: .seconds(2)) == "a")
        writer.put("d", "d", at: .seconds(3))
        #expect(writer.text("b", at: .seconds(3)) == nil)
        #expect(writer.text("a", at: .seconds(3)) == "a")
        #expect(writer.statistics.evictions == 1)
    }

    @Test func invalidationEndsEntriesAndRefusesOlderFills() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        writer.put("a", "a", tool: "t1", at: .seconds(1))
        writer.put("b", "b", tool: "t2", at: .seconds(1))
        let slow = writer.beginFill(server: "s", tool: "t1")
        #expect(writer.invalidate(server: "s", tool: "t1") == 1)
        #expect(writer.text("a", at: .seconds(1)) == nil)
        #expect(writer.text("b", at: .seconds(1)) == "b")
        #expect(writer.put(.named("a"), "old".utf8.span, token: slow, at: .seconds(1)) == .outdated)
        #expect(writer.put("a", "new", tool: "t1", at: .seconds(1)) == .stored)
        #expect(writer.invalidate(server: "s") == 2)
        #expect(writer.text("a", at: .seconds(1)) == nil)
        #expect(writer.invalidateAll() == 0)
        #expect(writer.statistics.invalidations == 3)
    }

    @Test func recoveryKeepsWhatAReaderWouldHaveReturned() throws {
        let writer = try CacheWriter(configuration: .small(), at: .seconds(1))
        for index in 0..<50 { writer.put("k\(index)", "value \(index)", at: .seconds(1)) }
        writer.invalidate(server: "s", tool: "none")
        let descriptor = dup(writer.segment.descriptor)
        let next = try CacheWriter(
            recovering: descriptor, configuration: .small(), at: .seconds(2))
        #expect(next.statistics.recovered == 50)
        for index in 0..<50 {
            #expect(next.text("k\(index)", at: .seconds(3)) == "value \(index)")
        }
        #expect(next.invalidate(server: "s") == 50)
    }
}
