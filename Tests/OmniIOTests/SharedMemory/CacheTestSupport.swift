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
