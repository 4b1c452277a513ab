import CShims.Cache
import CShims.Linux
import CacheTestSupport
import OmniCore
import OmniIO

/// A daemon in small for the tests of the client libraries: accepts readers on a socket and does
/// what standard input says, answering each line with one line.
final class Serve {
    private var writer: CacheWriter
    private var configuration = CacheConfiguration()
    private let path: String
    private let hasher = CacheKeyHasher()
    private let access = CacheAccess(allowsSameUser: true)
    private var retired: [CacheWriter] = []

    init(_ words: [String]) {
        path = words[0]
        if words.count > 1 { configuration.entriesMax = Int(words[1]) ?? 1000 }
        if words.count > 2 { configuration.bytesMax = Int(words[2]) ?? 64 << 20 }
        if words.count > 3 { configuration.ttl = .milliseconds(Int(words[3]) ?? 300_000) }
        do throws(SystemError) {
            writer = try CacheWriter(configuration: configuration, at: BootClock.now())
        } catch {
            fatalError("no segment: \(error)")
        }
    }

    func run() -> Never {
        let listener = unsafe cache_test_listen(path)
        guard listener >= 0 else { fatalError("cannot listen: \(listener)") }
        answer("ready")
        while true {
            switch cache_test_wait(listener) {
            case 1: accept(listener)
            case 2: command()
            default: writer.sweep(at: BootClock.now())
            }
        }
    }

    private func accept(_ listener: Int32) {
        let connection = cache_test_accept(listener)
        guard connection >= 0 else { return }
        // The test's reader sends its HELLO right after connecting.
        while access.answer(connection, writer: writer, at: BootClock.now()) == .pending {
            usleep(1000)
        }
        close(connection)
    }

    private func command() {
        guard let line = readLine() else { exit(0) }
        let words = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        switch words[0] {
        case "put": put(words)
        case "get": get(words)
        case "invalidate":
            let ended =
                words.count > 2
                ? writer.invalidate(server: words[1], tool: words[2])
                : writer.invalidate(server: words[1])
            answer("\(ended)")
        case "invalidate-all": answer("\(writer.invalidateAll())")
        case "sweep":
            writer.sweep(at: BootClock.now())
            answer("ok")
        case "statistics": answer(statistics())
        case "succeed": succeed()
        case "retire":
            writer.retire()
            answer("ok")
        default: answer("unknown")
        }
    }

    /// put SERVER TOOL CANONICAL-JSON VALUE [TTL-MS]
    private func put(_ words: [String]) {
        let key = hasher.compatibleKey(
            server: words[1], tool: words[2], canonicalArguments: words[3].utf8.span)
        let ttl = words.count > 5 ? Int(words[5]).map { Duration.milliseconds($0) } : nil
        let outcome = writer.put(
            key, words[4].utf8.span, ttl: ttl,
            token: writer.beginFill(server: words[1], tool: words[2]), at: BootClock.now())
        answer("\(outcome)")
    }

    private func get(_ words: [String]) {
        let key = hasher.compatibleKey(
            server: words[1], tool: words[2], canonicalArguments: words[3].utf8.span)
        let found = writer.get(key, at: BootClock.now())
        answer(found.map { unsafe String(decoding: $0.bytes, as: UTF8.self) } ?? "-")
    }

    private func statistics() -> String {
        let s = writer.statistics
        return "\(s.hits) \(s.misses) \(s.readerHits) \(s.readerMisses) \(s.readerExpired) "
            + "\(s.readerInvalid) \(s.entries) \(s.stores) \(s.attaches)"
    }

    private func succeed() {
        do throws(SystemError) {
            let next = try CacheWriter(configuration: configuration, at: BootClock.now())
            let succession = CacheSuccession(of: writer, by: next)
            while succession.step(at: BootClock.now()) {}
            retired.append(writer)
            writer = next
            answer("ok")
        } catch {
            answer("\(error)")
        }
    }

    private func answer(_ text: String) { unsafe cache_test_say(text) }
}
