/// Reads one file in systemd's ini format into assignments, each with the line it came from.
///
///     [Cache]
///     MaxEntries=1000
///     ; a comment
///     BackoffSec=30 60 \
///                120
///
/// A backslash at the end joins lines with a space; comment lines between joined lines vanish.
/// Blanks around names and values do not count. What makes no sense is collected, not thrown: the
/// reader is to hear of every problem at once.
struct ConfigurationFile {
    struct Assignment: Hashable {
        var section: String
        var key: String
        var value: String
        /// `path:line` of the line where the assignment begins.
        var place: String
    }

    /// A section header, empty sections included.
    struct Header: Hashable {
        var section: String
        var place: String
    }

    private(set) var assignments: [Assignment] = []
    private(set) var headers: [Header] = []
    private(set) var problems: [ConfigurationProblem] = []

    private let path: String
    private var section: String?

    /// Longer files are refused before they get here.
    static let bytesMax = 1 << 20

    init(path: String, bytes: [UInt8]) {
        self.path = path
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            let line = Self.firstBadLine(bytes)
            report(line, "", "not UTF-8 text", "save the file as UTF-8")
            return
        }
        var pending = ""
        var pendingLine = 0
        var lineNumber = 0
        for rawLine in text.split(separator: "\n", omittingEmptySubsequences: false) {
            lineNumber += 1
            let line = Self.trimmed(rawLine)
            if line.first == "#" || line.first == ";" { continue }
            if pending.isEmpty { pendingLine = lineNumber }
            if line.last == "\\" {
                pending += line.dropLast() + " "
                continue
            }
            take(Self.trimmed(pending + line), at: pendingLine)
            pending = ""
        }
        if !pending.isEmpty { take(Self.trimmed(pending), at: pendingLine) }
    }

    private mutating func take(_ line: String, at number: Int) {
        if line.isEmpty { return }
        if line.first == "[" { return takeSection(line, at: number) }
        guard let equals = line.firstIndex(of: "=") else {
            return report(
                number, "", "“\(line)” is neither a section nor an assignment",
                "write Key=value, or begin the line with # to make it a comment")
        }
        let key = Self.trimmed(line[..<equals])
        guard !key.isEmpty else {
            return report(number, "", "a value without a key", "write Key=value")
        }
        guard let section else {
            return report(
                number, "\(key)=", "stands before any section",
                "put a section such as [Cache] above it")
        }
        // Under a header that could not be read nothing is judged: its own problem says enough.
        if section.isEmpty { return }
        let value = Self.trimmed(line[line.index(after: equals)...])
        assignments.append(
            Assignment(section: section, key: key, value: value, place: "\(path):\(number)"))
    }

    private mutating func takeSection(_ line: String, at number: Int) {
        let name = line.dropFirst().dropLast()
        if line.last == "]", !name.isEmpty, !name.contains("["), !name.contains("]") {
            section = String(name)
            headers.append(Header(section: String(name), place: "\(path):\(number)"))
        } else {
            section = ""
            report(number, "", "“\(line)” is no section header", "write [Name]")
        }
    }

    private mutating func report(_ line: Int, _ subject: String, _ what: String, _ remedy: String) {
        problems.append(
            ConfigurationProblem(
                place: "\(path):\(line)", subject: subject, what: what, remedy: remedy))
    }

    private static func firstBadLine(_ bytes: [UInt8]) -> Int {
        var number = 1
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if line.contains(0) || String(validating: line, as: UTF8.self) == nil { return number }
            number += 1
        }
        return number
    }

    static func trimmed(_ text: some StringProtocol) -> String {
        func isBlank(_ character: Character) -> Bool {
            character == " " || character == "\t" || character == "\r" || character == "\r\n"
        }
        guard let first = text.firstIndex(where: { !isBlank($0) }),
            let last = text.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(text[first...last])
    }
}
