#if canImport(Glibc)
import Glibc
#endif

/// The ways in which one input reaches a parser. Every parser's tests go through all of them,
/// and its fuzzer compares them: where the bytes are cut must not change what they mean.
enum Cut: Hashable, Sendable, CustomStringConvertible {
    case whole
    case byteByByte
    case random(seed: UInt64)

    /// Whole, byte by byte, and random pieces of a few seeds: the last one new in every run, or
    /// the one named by `OMNI_SEED`.
    static let all: [Cut] =
        [.whole, .byteByByte] + (1...6).map { .random(seed: $0) } + [.random(seed: freshSeed)]

    func pieces(of bytes: [UInt8]) -> [[UInt8]] {
        switch self {
        case .whole: return [bytes]
        case .byteByByte: return bytes.map { [$0] }
        case .random(let seed):
            var generator = SplitMix(seed: seed)
            var pieces: [[UInt8]] = []
            var start = 0
            while start < bytes.count {
                // Mostly a few bytes, now and then a large piece.
                let longest = generator.next().isMultiple(of: 4) ? 4096 : 7
                let count = min(1 + Int(generator.next() % UInt64(longest)), bytes.count - start)
                pieces.append([UInt8](bytes[start..<start + count]))
                start += count
            }
            return pieces
        }
    }

    var description: String {
        switch self {
        case .whole: "whole"
        case .byteByByte: "byte by byte"
        case .random(let seed): "random pieces, OMNI_SEED=\(seed)"
        }
    }

    private static var freshSeed: UInt64 {
        if let text = unsafe getenv("OMNI_SEED"), let seed = unsafe UInt64(String(cString: text)) {
            return seed
        }
        return UInt64.random(in: 1_000...999_999_999)
    }
}

/// Numbers from a seed, the same on every machine.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
