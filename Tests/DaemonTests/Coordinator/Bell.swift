import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// Wakes a test whenever something happened, so that it waits for facts instead of for time.
final class Bell {
    private let io: any IO
    private let alarm: Alarm
    private var isRinging = false

    init(_ io: any IO) {
        self.io = io
        alarm = Alarm(io)
    }

    func ring() { alarm.ring() }

    /// Fails the test when `condition` does not come true; the time is a net, not a measure.
    func wait(
        _ what: @autoclosure () -> Comment,
        until condition: () -> Bool
    ) async {
        let deadline = io.now + .seconds(20)
        while !condition() {
            if io.now >= deadline {
                Issue.record("never came true: \(what())")
                return
            }
            await alarm.wait(until: min(deadline, io.now + .milliseconds(20)))
        }
    }
}
