import CShims.Cache
import CShims.Linux
import OmniCore
import OmniIO

/// A short, fixed piece of work in which every kind of store happens; the process dies at the one
/// it was told. Built with crash points only.
struct CrashPoints {
    private let board = Board(descriptor: 4)
    private let maker = ValueMaker()
    private let stores: UInt64
    private var random: Mix

    init(seed: UInt64, stores: UInt64) {
        random = Mix(state: seed)
        self.stores = stores
    }

    static var configuration: CacheConfiguration {
        var configuration = CacheConfiguration()
        configuration.entriesMax = 36
        configuration.bytesMax = 2 << 20
        configuration.serversMax = 2
        configuration.toolsMax = 20
        return configuration
    }

    /// Ends with "done" on the store if it was not killed.
    mutating func work() -> Never {
        let writer = openOrRecover(configuration: Self.configuration)
        crashAfter(stores)
        fragment(writer)
        steps(writer, count: 50)
        crashAfter(.max)
        finish()
    }

    /// Recovers (and perhaps dies there), then works on to show that the tables are sound.
    mutating func recover() -> Never {
        let writer = openOrRecover(configuration: Self.configuration, stores: stores)
        steps(writer, count: 40)
        finish()
    }

    private func finish() -> Never {
        var word: StaticString = "done"
        _ = unsafe omni2_send_with_descriptors(3, word.utf8Start, 4, -1, -1)
        word = ""
        exit(0)
    }

    private mutating func steps(_ writer: CacheWriter, count: Int) {
        for step in 0..<count {
            switch random.below(20) {
            case 0: invalidate(writer, tool: Int(random.below(16)))
            case 1 where step > count / 2: invalidateAll(writer)
            case 2: writer.sweep(at: BootClock.now())
            case 3: _ = writer.remove(key(random.below(40)), at: BootClock.now())
            case 4: trim(writer)
            default: put(writer)
            }
        }
    }

    /// Holes that are each a little too small, so that a value has to be moved aside.
    private mutating func fragment(_ writer: CacheWriter) {
        for index in 0..<16 as Range<UInt64> { put(writer, index, words: 16000) }
        for index in stride(from: UInt64(0), to: 16, by: 2) {
            writer.remove(key(index), at: BootClock.now())
        }
        put(writer, 20, words: 16384)
    }

    private mutating func put(_ writer: CacheWriter) {
        let words = [8, 700, 9000, 16000][Int(random.below(4))]
        put(writer, random.below(40), words: words)
    }

    private mutating func put(_ writer: CacheWriter, _ index: UInt64, words: Int) {
        let sequence = board.nextSequence()
        let token = writer.beginFill(server: "s", tool: "t\(index % 16)")
        let now = BootClock.now()
        let value = unsafe maker.make(
            sequence: sequence, key: index, expires: now.nanoseconds + 60_000_000_000,
            words: words)
        _ = unsafe writer.put(key(index), value, ttl: .seconds(60), token: token, at: now)
    }

    private func trim(_ writer: CacheWriter) {
        let target = writer.statistics.bytesUsed / 4 * 3
        while writer.trim(toBytes: target, at: BootClock.now()) {}
    }

    private func invalidate(_ writer: CacheWriter, tool: Int) {
        let sequence = board.sequence
        writer.invalidate(server: "s", tool: "t\(tool)")
        board.acknowledge(tool: tool, sequence)
    }

    private func invalidateAll(_ writer: CacheWriter) {
        let sequence = board.sequence
        writer.invalidateAll()
        for tool in 0..<Board.tools { board.acknowledge(tool: tool, sequence) }
    }
}
