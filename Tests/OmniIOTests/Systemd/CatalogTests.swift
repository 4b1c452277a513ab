import Glibc
import Testing

@testable import OmniIO

/// `systemd/omni2-native.catalog` and `MessageID` say the same.
@Suite("Catalog")
struct CatalogTests {
    struct Entry {
        var id: String
        var headers: [String: String] = [:]
        var text = ""
    }

    private let entries: [Entry]

    init() throws {
        let path = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let bytes = try Files.read(
            "/\(path)/systemd/omni2-native.catalog", bytesMax: 1 << 20)
        var entries: [Entry] = []
        for line in String(decoding: bytes, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        {
            if line.hasPrefix("#") { continue }
            if line.hasPrefix("-- ") {
                entries.append(Entry(id: String(line.dropFirst(3))))
            } else if let last = entries.indices.last {
                let colon = line.firstIndex(of: ":")
                if entries[last].text.isEmpty, let colon, !line.hasPrefix("Cause") {
                    let value = line[line.index(after: colon)...].drop { $0 == " " }
                    entries[last].headers[String(line[..<colon])] = String(value)
                } else if !(entries[last].text.isEmpty && line.isEmpty) {
                    entries[last].text += line + "\n"
                }
            }
        }
        self.entries = entries
    }

    @Test func everyMessageHasOneEntryAndEveryEntryAMessage() {
        #expect(entries.map(\.id) == MessageID.allCases.map(\.rawValue))
    }

    @Test func everyEntrySaysCauseConsequenceAndRemedy() {
        for entry in entries {
            #expect(entry.headers["Subject"]?.isEmpty == false, "\(entry.id)")
            #expect(entry.headers["Defined-By"] == "omni2-native")
            let paragraphs = entry.text.split(separator: "\n\n").map {
                $0.prefix { $0 != ":" }
            }
            #expect(paragraphs == ["Cause", "Consequence", "Remedy"], "\(entry.id)")
        }
    }

    @Test func idsAreThoseOfTheJournal() {
        for id in MessageID.allCases {
            #expect(id.rawValue.utf8.count == 32)
            #expect(id.rawValue.allSatisfy { $0.isHexDigit && !$0.isUppercase })
        }
        #expect(Set(MessageID.allCases.map(\.rawValue)).count == MessageID.allCases.count)
    }

    @Test func servicesHaveDistinctWindows() {
        #expect(Service.allCases.map(\.ordinal) == Array(0..<Service.allCases.count))
    }
}
