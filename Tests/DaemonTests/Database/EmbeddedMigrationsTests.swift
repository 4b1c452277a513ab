import Glibc
import OmniIO
import Testing

@testable import omni2_native

@Suite("EmbeddedMigrations")
struct EmbeddedMigrationsTests {
    @Test(arguments: StoreEngine.allCases)
    func theSwiftTextIsTheFiles(engine: StoreEngine) throws {
        let folder = sourceFolder() + "/sql/\(engine.rawValue)"
        let embedded =
            engine == .sqlite ? EmbeddedMigrations.sqlite : EmbeddedMigrations.postgresql
        let names = try fileNames(folder).filter { $0.hasSuffix(".sql") }.sorted()
        #expect(
            embedded.map { "\(padded($0.version))_\($0.name).sql" } == names, "run sql/embed.sh")
        for (migration, name) in zip(embedded, names) {
            let text = try contents(of: folder + "/" + name)
            #expect(migration.text + "\n" == text, "run sql/embed.sh: \(name) differs")
        }
    }

    @Test func versionsCountUpFromOne() {
        #expect(
            EmbeddedMigrations.sqlite.map(\.version) == Array(1...EmbeddedMigrations.sqlite.count))
        #expect(
            EmbeddedMigrations.postgresql.map(\.version)
                == Array(1...EmbeddedMigrations.postgresql.count))
    }

    private func padded(_ version: Int) -> String {
        String(repeating: "0", count: 4 - String(version).count) + String(version)
    }

    private func sourceFolder() -> String {
        #filePath.split(separator: "/").dropLast(4).reduce("") { $0 + "/" + $1 }
    }

    private func fileNames(_ folder: String) throws -> [String] {
        guard let directory = unsafe opendir(folder) else { throw SystemError("opendir", errno) }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            names.append(
                unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
                        unsafe String(cString: $0)
                    }
                })
        }
        return names
    }

    private func contents(of path: String) throws -> String {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError("open", errno) }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = unsafe read(file, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}

@Suite("RetryDelay")
struct RetryDelayTests {
    @Test func itDoublesUpToItsLimitAndBeginsAnew() {
        var delay = RetryDelay(first: .milliseconds(100), longest: .seconds(1))
        #expect(
            (0..<6).map { _ in delay.next(0.5) }
                == [100, 200, 400, 800, 1000, 1000].map {
                    .milliseconds($0)
                })
        delay.reset()
        #expect(delay.next(0.5) == .milliseconds(100))
    }

    @Test func jitterIsAFifthEitherWay() {
        for chance in [0.0, 1.0] {
            var delay = RetryDelay(first: .milliseconds(100), longest: .seconds(1))
            let expected: Duration = chance == 0 ? .milliseconds(80) : .milliseconds(120)
            #expect(delay.next(chance) == expected)
        }
    }

    @Test func manyAttemptsOverflowNothing() {
        var delay = RetryDelay(first: .milliseconds(100), longest: .seconds(5))
        for _ in 0..<1000 { #expect(delay.next(1) <= .seconds(6)) }
    }
}
