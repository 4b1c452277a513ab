import OmniCore
import Testing

@Suite("TimerWheel")
struct TimerWheelTests {
    private func time(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: milliseconds * 1_000_000)
    }

    @Test func timerFiresAtItsDeadlineAndNotBefore() {
        var wheel = TimerWheel(now: time(5))
        var fired: [UInt64] = []
        _ = wheel.schedule(at: time(10), token: 7)
        wheel.advance(to: time(9), into: &fired)
        #expect(fired.isEmpty)
        wheel.advance(to: time(10), into: &fired)
        #expect(fired == [7])
        #expect(wheel.count == 0)
        #expect(wheel.nextDeadline == nil)
    }

    @Test func cancelledTimerStaysSilentAndItsNameIsStale() {
        var wheel = TimerWheel(now: .zero)
        var fired: [UInt64] = []
        let timer = wheel.schedule(at: time(3), token: 1)
        let (first, second) = (wheel.cancel(timer), wheel.cancel(timer))
        #expect(first && !second)
        let successor = wheel.schedule(at: time(3), token: 2)
        let stale = wheel.cancel(timer)
        #expect(!stale, "the node was reused under a new generation")
        wheel.advance(to: time(100), into: &fired)
        #expect(fired == [2])
        let late = wheel.cancel(successor)
        #expect(!late)
    }

    @Test func pastDeadlineFiresAtTheNextTick() {
        var wheel = TimerWheel(now: time(1000))
        var fired: [UInt64] = []
        _ = wheel.schedule(at: time(3), token: 1)
        wheel.advance(to: time(1001), into: &fired)
        #expect(fired == [1])
    }

    @Test(arguments: [UInt64(1), 2, 3, 4, 5])
    func randomTimersAgreeWithASortedList(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var wheel = TimerWheel(now: .zero)
        var model: [(due: UInt64, token: UInt64)] = []
        var names: [UInt64: TimerWheel.Timer] = [:]
        var now: UInt64 = 0
        for token in 0..<5000 as Range<UInt64> {
            let due = now + 1 + random.next() % (1 << (random.next() % 24))
            names[token] = wheel.schedule(at: time(due), token: token)
            model.append((due, token))
            if random.next() % 4 == 0, let victim = model.randomElement(using: &random) {
                let cancelled = wheel.cancel(names[victim.token]!)
                #expect(cancelled, "seed \(seed)")
                model.removeAll { $0.token == victim.token }
            }
            if random.next() % 3 == 0 {
                if let next = wheel.nextDeadline, let first = model.map(\.due).min() {
                    #expect(next <= time(first), "seed \(seed): the wheel would sleep too long")
                }
                now += random.next() % 5000
                var fired: [UInt64] = []
                wheel.advance(to: time(now), into: &fired)
                let due = model.filter { $0.due <= now }
                #expect(Set(fired) == Set(due.map(\.token)), "seed \(seed)")
                let order = fired.map { token in due.first { $0.token == token }!.due }
                #expect(order == order.sorted(), "seed \(seed)")
                model.removeAll { $0.due <= now }
            }
            #expect(wheel.count == model.count)
        }
    }
}
