internal import CShims.Linux
internal import Glibc
public import OmniCore

extension MonotonicTime {
    /// The clock itself, for what is measured within a turn; everything else goes by `IO.now`.
    public static func read() -> MonotonicTime {
        MonotonicTime(nanoseconds: omni2_clock(CLOCK_MONOTONIC))
    }
}
