import CShims.Cache
import CShims.Linux
import OmniCore
import OmniIO

/// A writer at full speed, until it is killed: puts, evictions, invalidations, slow fills.
final class Torture {
    private let board = Board(descriptor: 4)
    private let maker = ValueMaker()
    private var random: Mix
    private let writer: CacheWriter
    private var pending: [(key: UInt64, sequence: UInt64, token: FillToken)] = []

    static var configuration: CacheConfiguration {
        var configuration = CacheConfiguration()
        configuration.entriesMax = 2000
        configuration.bytesMax = 2 << 20
        configuration.valueBytesMax = 128 << 10
        configuration.serversMax = 4
        configuration.toolsMax = 64
        return configuration
    }

    init() {
        random = Mix(state: UInt64(getpid()) &+ BootClock.now().nanoseconds)
        writer = openOrRecover(configuration: Self.configuration)
    }

    func run() -> Never {
        while true {
            for _ in 0..<1000 { step() }
            writer.sweep(at: BootClock.now())
        }
    }

    private func step() {
        switch random.below(10_000) {
        case 0..<10: invalidateTool()
        case 10: invalidateServer()
        case 11: invalidateAll()
        case 12..<400: beginSlowFill()
        case 400..<800: endSlowFill()
        case 800..<1000: _ = writer.get(key(random.below(Board.keys)), at: BootClock.now())
        default: put()
        }
    }

    private func put() {
        let index = random.below(Board.keys)
        let token = writer.beginFill(server: "s", tool: "t\(index % 16)")
        unsafe store(index, board.nextSequence(), token)
    }

    @unsafe private func store(_ index: UInt64, _ sequence: UInt64, _ token: FillToken) {
        let life: UInt64 = [20, 100, 400, 2000][Int(random.below(4))] * 1_000_000
        let now = BootClock.now()
        let words = random.below(100) == 0 ? 8000 : random.below(random.below(8) == 0 ? 1200 : 60)
        let value = unsafe maker.make(
            sequence: sequence, key: index, expires: now.nanoseconds + life, words: Int(words))
        let outcome = unsafe writer.put(
            key(index), value, ttl: .nanoseconds(Int64(life)), token: token, at: now)
        board.count(Board.puts)
        if outcome == .outdated { board.count(Board.refused) }
    }

    private func beginSlowFill() {
        guard pending.count < 32 else { return }
        let index = random.below(Board.keys)
        let token = writer.beginFill(server: "s", tool: "t\(index % 16)")
        pending.append((index, board.nextSequence(), token))
    }

    private func endSlowFill() {
        guard !pending.isEmpty else { return }
        let fill = pending.remove(at: Int(random.below(UInt64(pending.count))))
        unsafe store(fill.key, fill.sequence, fill.token)
    }

    private func invalidateTool() {
        let tool = Int(random.below(UInt64(Board.tools)))
        let sequence = board.sequence
        writer.invalidate(server: "s", tool: "t\(tool)")
        board.acknowledge(tool: tool, sequence)
        board.count(Board.invalidations)
    }

    private func invalidateServer() {
        let sequence = board.sequence
        writer.invalidate(server: "s")
        for tool in 0..<Board.tools { board.acknowledge(tool: tool, sequence) }
        board.count(Board.invalidations)
    }

    private func invalidateAll() {
        let sequence = board.sequence
        writer.invalidateAll()
        for tool in 0..<Board.tools { board.acknowledge(tool: tool, sequence) }
        board.count(Board.invalidations)
    }
}

/// Descriptor 3 is the descriptor store (a socket): a new segment is sent there, a recovery is
/// reported there, and a byte from there starts the work. Descriptor 5 is a segment to recover.
func openOrRecover(configuration: CacheConfiguration, stores: UInt64? = nil) -> CacheWriter {
    let writer: CacheWriter
    var report = "created"
    var passed: Int32 = -1
    if omni2_seals(5) >= 0 {
        if let stores { crashAfter(stores) }
        do throws(CacheRecoveryError) {
            writer = try CacheWriter(
                recovering: 5, configuration: configuration, at: BootClock.now())
        } catch {
            fatalError("recovery refused: \(error)")
        }
        if stores != nil { crashAfter(.max) }
        report = "recovered \(writer.statistics.recovered) \(writer.statistics.recoveryDropped)"
    } else {
        do throws(SystemError) {
            writer = try CacheWriter(configuration: configuration, at: BootClock.now())
        } catch {
            fatalError("no segment: \(error)")
        }
        passed = writer.segment.descriptor
    }
    report.withUTF8 {
        _ = unsafe omni2_send_with_descriptors(3, $0.baseAddress!, $0.count, passed, -1)
    }
    var go: UInt8 = 0
    _ = unsafe recv(3, &go, 1, 0)
    return writer
}

func crashAfter(_ stores: UInt64) {
    #if CRASH_POINTS
    omni2_crash_after(stores)
    #endif
}
