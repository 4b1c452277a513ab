/// The wait before the next attempt: a ladder of times, each shifted by up to ± `jitterPercent` so
/// that servers which failed together do not come back together.
public struct Backoff: Hashable, Sendable {
    public let ladder: [Duration]
    public let jitterPercent: Int

    public static let recovery = Backoff(
        ladder: [30, 60, 120, 240, 480, 600].map { .seconds($0) }, jitterPercent: 10)

    public init(ladder: [Duration], jitterPercent: Int) {
        precondition(!ladder.isEmpty, "a ladder has at least one rung")
        precondition((0...100).contains(jitterPercent), "jitter is a percentage")
        self.ladder = ladder
        self.jitterPercent = jitterPercent
    }

    /// - Parameters:
    ///   - attempt: 0 for the first; beyond the ladder its last rung stays.
    ///   - seed: equal seeds give equal waits; take one per server.
    public func delay(attempt: Int, seed: UInt64) -> Duration {
        let index = min(max(0, attempt), ladder.count - 1)
        let rung = ladder[index]
        let span = Int64(jitterPercent) * 2 + 1
        guard span > 1 else { return rung }
        let random = SplitMix64.mix(seed ^ SplitMix64.mix(UInt64(clamping: attempt)))
        // Thousandths of a percent, for a spread finer than whole percents.
        let steps = UInt64(jitterPercent) * 2_000 + 1
        let shift = Int64(random % steps) - Int64(jitterPercent) * 1_000
        // Half the range is left for the jitter of an absurdly long rung.
        let nanoseconds = min(rung.nanosecondsClamped, .max / 2)
        return .nanoseconds(nanoseconds + nanoseconds / 100_000 * shift)
    }
}
