import OmniIO

extension Cache {
    /// Both segments together, under the original's names.
    struct Statistics {
        var size = 0
        var sizeMax = 0
        var hits: UInt64 = 0
        var misses: UInt64 = 0
        var evictions: UInt64 = 0
        var expirations: UInt64 = 0
        var invalidations: UInt64 = 0
        var bytes = 0
        var siblingHits: UInt64 = 0

        /// In percent with two decimals; 0 before the first request.
        var hitRate: Double {
            let total = hits + misses
            if total == 0 { return 0 }
            return (Double(hits) / Double(total) * 10_000).rounded() / 100
        }
    }

    var statistics: Statistics {
        var sum = Statistics(sizeMax: settings.entriesMax)
        for one in [shared.statistics, personal.statistics] {
            sum.size += one.entries
            sum.hits += one.hits
            sum.misses += one.misses
            sum.evictions += one.evictions
            sum.expirations += one.expirations
            sum.invalidations += one.invalidations
            sum.bytes += one.bytesUsed
            sum.siblingHits += one.readerHits
        }
        return sum
    }
}
