import CShims.Linux
import OmniCore

@testable import OmniIO

extension MonotonicTime {
    static func seconds(_ count: Double) -> Self {
        Self(nanoseconds: UInt64(count * 1_000_000_000))
    }
}

extension CacheConfiguration {
    static func small(entries: Int = 100, bytes: Int = 2 << 20) -> Self {
        var configuration = Self()
        configuration.entriesMax = entries
        configuration.bytesMax = bytes
        configuration.serversMax = 4
        configuration.toolsMax = 16
        return configuration
    }
}

extension CacheKey {
    static func named(_ name: String) -> Self {
        CacheKeyHasher().digest(name.utf8.span)
    }
}

extension CacheWriter {
    @discardableResult
    func put(
        _ name: String, _ value: String, server: String = "s", tool: String = "t",
        ttl: Duration? = nil, at now: MonotonicTime
    ) -> PutOutcome {
        put(
            .named(name), value.utf8.span, ttl: ttl,
            token: beginFill(server: server, tool: tool), at: now)
    }

    func text(_ name: String, at now: MonotonicTime) -> String? {
        get(.named(name), at: now)?.text
    }
}

extension CacheHit {
    var text: String { unsafe String(decoding: bytes, as: UTF8.self) }
}

/// Seeded, so that a failing run can be repeated with `OMNI_SEED`.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    let seed: UInt64

    init(_ fallback: UInt64) {
        let given = unsafe getenv("OMNI_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
        seed = given ?? fallback
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
