import Glibc
import OmniIO
import Testing

@testable import omni2_native

/// The example file and the manual page are written from the table of settings and kept in the
/// repository; these tests hold them to it. After a change of the table write them anew with
///
///     UPDATE_PAGES=1 swift test --filter ConfigurationPages
@Suite("ConfigurationPages")
struct ConfigurationPagesTests {
    private let rows = Configuration.standard().rows

    @Test func exampleFileShowsEverySetting() throws {
        try hold("packaging/omni2.conf", to: ConfigurationPages.example(rows))
    }

    @Test func manualPageExplainsEverySetting() throws {
        try hold("docs/man/omni2.conf.5", to: ConfigurationPages.manual(rows))
    }

    @Test func exampleFileIsAConfigurationOfDefaults() {
        let text = ConfigurationPages.example(rows)
        let file = ConfigurationFile(path: "example", bytes: Array(text.utf8))
        #expect(file.problems.isEmpty)
        #expect(file.assignments.isEmpty, "everything is commented out")
        #expect(file.headers.count == Set(rows.map(\.section)).count)
    }

    private func hold(_ path: String, to text: String) throws {
        let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let place = "/\(root)/\(path)"
        if Environment.current()["UPDATE_PAGES"] != nil {
            let descriptor = unsafe open(place, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o644)
            defer { close(descriptor) }
            let bytes = Array(text.utf8)
            #expect(unsafe write(descriptor, bytes, bytes.count) == bytes.count)
        }
        let isSame = try Files.read(place, bytesMax: 1 << 20) == Array(text.utf8)
        #expect(isSame, "\(path) is not what the table says; see above how to write it anew")
    }
}

/// Texts made from the table of settings.
enum ConfigurationPages {
    static func example(_ rows: [ConfigurationRow]) -> String {
        var text = """
            # Settings of omni2-native, each with its default. See omni2.conf(5).
            #
            # Rather than editing this file, put what differs into /etc/omni2/omni2.conf.d/NAME.conf; then
            # an upgrade never asks. "omni2-native --check" reads everything and names every mistake;
            # "systemctl reload omni2-native" puts changes into force, and says what needs a restart.
            #
            # Secrets belong into credentials, not in here: /etc/credstore/omni2.NAME, mode 0600.

            """
        for (section, rows) in sections(rows) {
            text += "\n[\(section)]\n"
            for row in rows {
                for line in wrapped(row.help + about(row), width: 96) { text += "# \(line)\n" }
                text += "#\(row.key)=\(row.defaultText)\n"
            }
        }
        return text
    }

    static func manual(_ rows: [ConfigurationRow]) -> String {
        var text = #"""
            .TH OMNI2.CONF 5 "" "omni2-native" "File formats"
            .SH NAME
            omni2.conf \- settings of the MCP gateway omni2-native
            .SH SYNOPSIS
            .nf
            /etc/omni2/omni2.conf
            /etc/omni2/omni2.conf.d/*.conf
            /run/omni2/omni2.conf.d/*.conf
            /usr/local/lib/omni2/omni2.conf.d/*.conf
            /usr/lib/omni2/omni2.conf.d/*.conf
            .fi
            .SH DESCRIPTION
            The main file is read first, then the drop-ins of all directories, sorted by name; later
            assignments win. A drop-in hides those of the same name in the directories below it in the
            list above, and a symbolic link to /dev/null hides them altogether.
            .B systemd-analyze cat-config omni2/omni2.conf
            shows what is read. With
            .B \-\-config FILE
            only FILE and FILE.d/*.conf are.
            .PP
            The format is that of
            .BR systemd.syntax (7):
            sections in brackets, Key=value, comments from # or ; at the beginning of a line, a backslash
            at the end continues a line. An empty assignment restores the default, and for a list removes
            what was assigned before it; lists are separated by blanks and repeated assignments append.
            .PP
            Time spans are written as in
            .BR systemd.time (7):
            500ms, 30, 5min, 1h 30s; a number alone is seconds. Sizes are bytes with the suffixes K, M, G
            and T, base 1024.
            .PP
            The environment overrides files:
            .B OMNI2_CACHE_MAX_ENTRIES
            stands for MaxEntries= in section [Cache]. A credential overrides files, too: the unit looks
            for omni2.NAME in /etc/credstore, /run/credstore and /usr/lib/credstore.
            .PP
            An unknown name, a value that cannot be used, or settings that contradict each other are errors:
            all of them are reported at once, with file, line and remedy, and the daemon ends with
            status 78, or at a reload goes on as it was.
            .B omni2-native \-\-check
            does only that.

            """#
        for (section, rows) in sections(rows) {
            text += ".SH [\(section.uppercased())] SECTION\n"
            for row in rows {
                text += ".TP\n.B \(escaped(row.key))=\(escaped(row.defaultText))\n"
                text +=
                    wrapped(escaped(row.help + about(row)), width: 96)
                    .joined(separator: "\n") + "\n"
            }
        }
        text += #"""
            .SH SEE ALSO
            .BR omni2-native (8),
            .BR omni2ctl (1),
            .BR systemd.syntax (7)

            """#
        return text
    }

    private static func sections(
        _ rows: [ConfigurationRow]
    ) -> [(String, [ConfigurationRow])] {
        var result: [(String, [ConfigurationRow])] = []
        for row in rows {
            if result.last?.0 == row.section {
                result[result.count - 1].1.append(row)
            } else {
                result.append((row.section, [row]))
            }
        }
        return result
    }

    private static func about(_ row: ConfigurationRow) -> String {
        var parts = [row.kind]
        if !row.bounds.isEmpty { parts.append(row.bounds.replacing("…", with: "to")) }
        var text = " (" + parts.joined(separator: ", ")
        if let credential = row.credential { text += "; credential \(credential)" }
        if row.change == .restart { text += "; needs a restart" }
        return text + ")"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("-", with: "\\-")
    }

    private static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return lines + [line]
    }
}
