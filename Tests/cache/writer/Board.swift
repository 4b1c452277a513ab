import CShims.Cache
import OmniCore
import OmniIO

/// What the torture's processes agree on outside the cache: 64 words of shared memory.
/// The C side has the same numbers (torture.c).
@safe
struct Board {
    static let tools = 16
    static let keys: UInt64 = 4096

    private let words: UnsafeMutablePointer<UInt64>

    init(descriptor: Int32) {
        var address: UnsafeMutableRawPointer?
        let result = unsafe omni2_map(descriptor, 4096, &address)
        guard result == 0, let address = unsafe address else { fatalError("no board") }
        unsafe words = unsafe address.bindMemory(to: UInt64.self, capacity: 64)
    }

    /// Names each value; survives the writer.
    func nextSequence() -> UInt64 {
        unsafe omni2_store_release(words, words[0] + 1)
        return unsafe words[0]
    }

    var sequence: UInt64 { unsafe words[0] }

    func count(_ index: Int, _ more: UInt64 = 1) {
        unsafe omni2_store_relaxed(words + index, words[index] + more)
    }

    /// From now on no reader may see a value of the tool with a sequence up to this one.
    func acknowledge(tool: Int, _ sequence: UInt64) {
        unsafe omni2_store_release(words + 16 + tool, sequence)
    }

    static let puts = 1
    static let invalidations = 2
    static let resurrected = 3
    static let refused = 4
}

/// The same generator on both sides.
struct Mix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }
}

func key(_ index: UInt64) -> CacheKey {
    var mix = Mix(state: index)
    var bytes: [UInt8] = []
    for _ in 0..<4 {
        let word = mix.next()
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: word >> shift))
        }
    }
    return CacheKey(bytes: bytes.span)!
}

/// Values that prove themselves: sequence, key, tool, expiry, words, filler, sum.
@safe
struct ValueMaker {
    private let buffer = UnsafeMutablePointer<UInt64>.allocate(capacity: 16384)

    func make(
        sequence: UInt64, key: UInt64, expires: UInt64, words: Int
    ) -> UnsafeRawBufferPointer {
        let words = min(max(words, 6), 16384)
        unsafe buffer[0] = sequence
        unsafe buffer[1] = key
        unsafe buffer[2] = key % UInt64(Board.tools)
        unsafe buffer[3] = expires
        unsafe buffer[4] = UInt64(words)
        for index in 5..<words - 1 { unsafe buffer[index] = sequence &* 31 &+ UInt64(index) }
        var sum: UInt64 = 0
        for index in 0..<words - 1 {
            sum = unsafe (sum ^ buffer[index]) &* 0x9e37_79b9_7f4a_7c15
        }
        unsafe buffer[words - 1] = sum
        return unsafe UnsafeRawBufferPointer(start: buffer, count: words * 8)
    }
}
