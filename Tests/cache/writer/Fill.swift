import CShims.Cache
import CShims.Linux
import OmniCore
import OmniIO

/// Fills a segment for the benchmark, hands it over on descriptor 3, and (with "churn") goes on
/// replacing random keys at full speed. Ends when descriptor 3 is closed.
final class Fill {
    private let entries: UInt64
    private let valueBytes: Int
    private let churns: Bool
    private let keys: [CacheKey]

    init(_ words: [String]) {
        entries = UInt64(words[0]) ?? 1000
        valueBytes = Int(words[1]) ?? 200
        churns = words.dropFirst(2).first == "churn"
        keys = (0..<entries).map { key($0) }
    }

    func run() -> Never {
        var configuration = CacheConfiguration()
        configuration.entriesMax = Int(entries)
        configuration.bytesMax =
            Int(entries) * ((valueBytes + 63) / 64 * 64) * 5 / 4 + (4 << 20)
        configuration.ttl = .seconds(3600)
        let writer: CacheWriter
        do throws(SystemError) {
            writer = try CacheWriter(configuration: configuration, at: BootClock.now())
        } catch {
            fatalError("no segment: \(error)")
        }
        let value = [UInt8](repeating: 0x41, count: valueBytes)
        let start = BootClock.now()
        for index in 0..<entries { store(writer, index, value) }
        let end = BootClock.now()
        // The daemon does this on another thread.
        while let merge = writer.beginMerge() { writer.endMerge(succeeded: merge.run()) }
        let fill = (end - start).nanosecondsClamped / Int64(entries)
        var random = Mix(state: 9)
        let get = median { self.lookUp(writer, random.below(self.entries)) }
        let set = median { self.store(writer, random.below(self.entries), value) }
        var count = 0
        let mixed = median {
            count += 1
            if count % 10 == 0 {
                self.store(writer, random.below(self.entries), value)
            } else {
                self.lookUp(writer, random.below(self.entries))
            }
        }
        var report = "filled \(fill) \(get) \(set) \(mixed) \(writer.statistics.entries)"
        report.withUTF8 {
            _ = unsafe omni2_send_with_descriptors(
                3, $0.baseAddress!, $0.count, writer.segment.descriptor, -1)
        }
        serve(writer, value)
    }

    /// Nanoseconds per operation: the median over short rounds.
    private func median(_ operation: () -> Void) -> Int64 {
        var rounds: [Int64] = []
        let end = BootClock.now() + .milliseconds(400)
        repeat {
            let start = BootClock.now()
            for _ in 0..<256 { operation() }
            rounds.append((BootClock.now() - start).nanosecondsClamped / 256)
        } while BootClock.now() < end || rounds.count < 9
        return rounds.sorted()[rounds.count / 2]
    }

    private func lookUp(_ writer: CacheWriter, _ index: UInt64) {
        guard writer.get(keys[Int(index)], at: BootClock.now()) != nil else {
            fatalError("a stored key is not there")
        }
    }

    private func store(_ writer: CacheWriter, _ index: UInt64, _ value: [UInt8]) {
        let token = writer.beginFill(server: "bench", tool: "tool")
        _ = writer.put(keys[Int(index)], value.span, token: token, at: BootClock.now())
    }

    private func serve(_ writer: CacheWriter, _ value: [UInt8]) -> Never {
        var random = Mix(state: 1)
        var byte: UInt8 = 0
        while unsafe recv(3, &byte, 1, Int32(MSG_DONTWAIT)) != 0 {
            guard churns else {
                usleep(100_000)
                writer.beat(at: BootClock.now())
                continue
            }
            for _ in 0..<1000 { store(writer, random.below(entries), value) }
            writer.beat(at: BootClock.now())
        }
        exit(0)
    }
}
