import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("FlowTracker")
struct FlowTests {
    @Test func idsAreUUIDsOfVersion4() throws {
        var source = FlowIDSource(seed: 7)
        var seen: Set<FlowID> = []
        for _ in 0..<1000 {
            let id = source.next()
            let text = id.text
            #expect(FlowID(text) == id && FlowID(text.uppercased()) == id)
            let digits = Array(text)
            #expect(digits[14] == "4" && "89ab".contains(digits[19]) && text.count == 36)
            seen.insert(id)
        }
        #expect(seen.count == 1000)
    }

    @Test(arguments: [
        "", "x", "00000000-0000-4000-8000-00000000000", "00000000x0000-4000-8000-000000000000",
    ])
    func whatIsNoUUIDIsNone(_ text: String) { #expect(FlowID(text) == nil) }

    @Test func rowsComeBackFromDiskAsTheyWere() throws {
        let row = HistoryRow(
            .audit, [.null, .integer(-7), .real(1.5), .text("é\n\"\u{2028}"), .text("")])
        #expect(row.line.count(where: { $0 == UInt8(ascii: "\n") }) == 1)
        #expect(HistoryRow(line: Array(row.line.dropLast())) == row)
        #expect(HistoryRow(line: Array(row.line.prefix(row.line.count / 2))) == nil)
    }

    @Test func aTreeShowsEveryNodeOnce() {
        func event(_ id: String, _ parent: String?) -> JSONValue {
            ["node_id": .string(id), "parent_id": JSONValue(parent)]
        }
        // Two roots, an orphan, and two that claim to be each other's parent.
        let tree = FlowTree.roots(of: [
            event("a", nil), event("b", "a"), event("c", "a"), event("d", "b"), event("e", ""),
            event("f", "gone"), event("g", "g"),
        ])
        #expect(tree.map { $0["node_id"]?.string } == ["a", "e", "f", "g"])
        let below = tree[0]["children"]?.array ?? []
        #expect(below.map { $0["node_id"]?.string } == ["b", "c"])
        #expect(below[0]["children"]?[0]?["node_id"]?.string == "d")
    }

    @Test func timesReadAsSeconds() {
        #expect(FlowText.time(1_700_000_000_000_042) == "1700000000.000042")
        #expect(FlowText.milliseconds(.microseconds(1500)) == 1.5)
    }

    @Test func topicsNameUsers() {
        #expect(FlowTopic.name(of: 7) == "flow:7" && FlowTopic.user(of: "flow:7") == 7)
        #expect(FlowTopic.user(of: "flow:x") == nil && FlowTopic.user(of: "note") == nil)
    }

    @Test func whatWaitsOnDiskIsBoundedAndReadInOrder() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path
        try await RingFixture.run { io in
            let rows = (0..<3000).map {
                HistoryRow(.flow, [.integer($0), .text(String(repeating: "x", count: 1000))])
            }
            let spool = RowSpool(io: io, directory: path + "/spool", bytesMax: 2 << 20)
            await spool.open()
            #expect(spool.isEmpty)
            var gone = 0
            for start in stride(from: 0, to: 3000, by: 500) {
                gone += try await spool.append(Array(rows[start..<start + 500]))
            }
            #expect(gone > 0 && spool.bytes <= 3 << 20)
            // Another run finds the same.
            let next = RowSpool(io: io, directory: path + "/spool", bytesMax: 2 << 20)
            await next.open()
            var read: [HistoryRow] = []
            while let segment = await next.oldest() {
                read += segment.rows
                await next.remove(segment)
            }
            #expect(read == Array(rows.suffix(read.count)) && read.count >= 1000)
            #expect(next.isEmpty && next.bytes == 0)
        }
    }
}
