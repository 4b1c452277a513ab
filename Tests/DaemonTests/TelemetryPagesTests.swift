import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("Telemetry's page")
struct TelemetryPagesTests {
    /// `docs/telemetry.md`, beside the sources this test was built from.
    private static func page() throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let bytes = try Files.read("/\(root)/docs/telemetry.md", bytesMax: 1 << 20)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func everyFamilyIsInTheTableAsItIs() throws {
        let page = try Self.page()
        for family in MetricFamilies.all {
            let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
            let row =
                "| `\(family.seriesName)` | \(family.kind.rawValue) | \(labels) | \(family.help) |"
            #expect(page.contains(row), "docs/telemetry.md lacks the row \(row)")
        }
    }

    @Test func theTableHasNoFamilyThatIsNotThere() throws {
        let names = Set(MetricFamilies.all.map(\.seriesName))
        let rows = try Self.page().split(separator: "\n").filter {
            $0.hasPrefix("| `omni2_") || $0.hasPrefix("| `process_")
        }
        #expect(rows.count == MetricFamilies.all.count)
        for row in rows {
            let name = row.dropFirst(3).prefix { $0 != "`" }
            #expect(names.contains(String(name)), "\(name) is documented but does not exist")
        }
    }

    @Test func namesAreUnique() {
        #expect(Set(MetricFamilies.all.map(\.name)).count == MetricFamilies.all.count)
    }
}
