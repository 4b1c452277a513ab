import OmniCore
import Testing

private func at(_ seconds: Int) -> MonotonicTime { .zero + .seconds(seconds) }

@Suite("Backoff")
struct BackoffTests {
    @Test func theLadderIsClimbedWithinTenPercent() {
        for (attempt, seconds) in [30, 60, 120, 240, 480, 600, 600, 600].enumerated() {
            for seed in 0..<200 as Range<UInt64> {
                let delay = Backoff.recovery.delay(attempt: attempt, seed: seed)
                #expect(delay >= .milliseconds(seconds * 900))
                #expect(delay <= .milliseconds(seconds * 1_100))
            }
        }
    }

    @Test func equalSeedsGiveEqualWaitsAndOthersSpread() {
        let backoff = Backoff.recovery
        #expect(backoff.delay(attempt: 2, seed: 9) == backoff.delay(attempt: 2, seed: 9))
        let delays = (0..<100 as Range<UInt64>).map { backoff.delay(attempt: 2, seed: $0) }
        #expect(Set(delays).count > 90)
        #expect(delays.min()! < .seconds(111))
        #expect(delays.max()! > .seconds(129))
    }

    @Test func withoutJitterItIsTheLadder() {
        let backoff = Backoff(ladder: [.milliseconds(5), .seconds(1)], jitterPercent: 0)
        #expect(backoff.delay(attempt: -1, seed: 1) == .milliseconds(5))
        #expect(backoff.delay(attempt: 1, seed: 1) == .seconds(1))
        #expect(backoff.delay(attempt: .max, seed: 1) == .seconds(1))
    }
}

@Suite("TokenBucket")
struct TokenBucketTests {
    @Test func aBurstIsTakenAtOnceAndThenOnePerInterval() {
        var bucket = TokenBucket(burst: 3, interval: .seconds(10))
        for _ in 0..<3 { #expect(bucket.take(at: at(100)) == nil) }
        #expect(bucket.take(at: at(100)) == .seconds(10))
        #expect(bucket.take(at: at(104)) == .seconds(6))
        #expect(bucket.take(at: at(110)) == nil)
        #expect(bucket.take(at: at(110)) == .seconds(10))
    }

    @Test func restIsNotSavedBeyondTheBurst() {
        var bucket = TokenBucket(burst: 2, interval: .seconds(1))
        #expect(bucket.take(2, at: at(1_000)) == nil)
        #expect(bucket.take(at: at(1_000)) == .seconds(1))
        #expect(bucket.take(3, at: at(5_000)) == .seconds(1))
    }

    @Test func extremesDoNotOverflow() {
        var bucket = TokenBucket(burst: .max, interval: .seconds(1 << 40))
        #expect(bucket.take(.max, at: .distantFuture) == nil)
        var tiny = TokenBucket(burst: 0, interval: .zero)
        #expect(tiny.take(at: .zero) == nil)
    }

    @Test(arguments: testSeeds) func noStretchOfTimeGetsMoreThanItsShare(_ seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var bucket = TokenBucket(burst: 5, interval: .milliseconds(100))
        var now = MonotonicTime.zero
        var taken: [MonotonicTime] = []
        for _ in 0..<3_000 {
            now = now + .milliseconds(Int.random(in: 0...80, using: &random))
            if let wait = bucket.take(at: now) {
                // The wait is exact: just before is too early, then it passes.
                var copy = bucket
                #expect(copy.take(at: now + wait + .nanoseconds(-1)) != nil)
                #expect(copy.take(at: now + wait) == nil)
            } else {
                taken.append(now)
            }
        }
        for (index, start) in taken.enumerated() {
            let end = start + .seconds(1)
            let count = taken[index...].prefix { $0 < end }.count
            #expect(count <= 5 + 10, "seed \(seed)")
        }
    }
}

@Suite("SlidingWindow")
struct SlidingWindowTests {
    @Test func theLimitHoldsUntilTheWindowHasPassed() {
        var window = SlidingWindow()
        for _ in 0..<100 { #expect(window.take(limit: 100, at: at(30)) == nil) }
        let wait = window.take(limit: 100, at: at(30))
        #expect(wait == .seconds(3_630))
        #expect(window.take(limit: 100, at: at(3_600)) != nil)
        #expect(window.take(limit: 100, at: at(30 + 3_630)) == nil)
        #expect(window.count(at: at(30 + 3_630)) == 1)
    }

    @Test func aLimitOfNothingRefusesAndChangesNothing() {
        var window = SlidingWindow()
        #expect(window.take(limit: 0, at: at(5)) != nil)
        #expect(window.count(at: at(5)) == 0)
    }

    @Test func aHigherLimitCountsFromNow() {
        var window = SlidingWindow()
        for _ in 0..<10 { _ = window.take(limit: 10, at: at(5)) }
        #expect(window.take(limit: 10, at: at(6)) != nil)
        #expect(window.take(limit: 11, at: at(6)) == nil)
    }

    @Test(arguments: testSeeds) func noHourGetsMoreThanTheLimit(_ seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var window = SlidingWindow()
        var now = MonotonicTime.zero
        var taken: [MonotonicTime] = []
        for _ in 0..<5_000 {
            now = now + .seconds(Int.random(in: 0...40, using: &random))
            if let wait = window.take(limit: 50, at: now) {
                var copy = window
                #expect(wait > .zero && wait <= .seconds(3_660), "seed \(seed)")
                #expect(copy.take(limit: 50, at: now + wait) == nil, "seed \(seed)")
            } else {
                taken.append(now)
            }
        }
        for index in taken.indices where index >= 50 {
            #expect(taken[index] - taken[index - 50] >= .seconds(3_600), "seed \(seed)")
        }
    }
}
