internal import CShims.Linux
internal import CShims.Process
internal import Glibc
internal import OmniCore

/// Many descriptors behind one wait of the ring: an epoll set, whose own descriptor can be polled.
///
/// Why not one wait of the ring per descriptor: libcurl and child processes drop descriptors while
/// they are being watched, and a poll that the ring still holds would keep a closed socket open.
/// Here dropping one is a plain call, and one task watches them all.
final class PollSet {
    struct Event {
        let tag: UInt32
        let readiness: Readiness
    }

    private let set: Descriptor
    private let alarm: Descriptor
    private static let alarmTag = UInt32.max
    private static let batch = 64
    private var tags = [UInt32](repeating: 0, count: batch)
    private var events = [UInt32](repeating: 0, count: batch)

    init() throws(SystemError) {
        let set = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard set >= 0 else { throw SystemError("epoll_create1", errno) }
        self.set = Descriptor(set)
        let alarm = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard alarm >= 0 else { throw SystemError("eventfd", errno) }
        self.alarm = Descriptor(alarm)
        try watch(alarm, .readable, tag: Self.alarmTag)
    }

    /// Watches a descriptor, or changes what it is watched for. Errors and hang-ups always count.
    func watch(_ descriptor: Int32, _ events: Readiness, tag: UInt32) throws(SystemError) {
        var status = omni2_epoll_change(
            set.raw, Int32(EPOLL_CTL_ADD), descriptor, events.rawValue, tag)
        if status == -EEXIST {
            status = omni2_epoll_change(
                set.raw, Int32(EPOLL_CTL_MOD), descriptor, events.rawValue, tag)
        }
        if status < 0 { throw SystemError("epoll_ctl", status) }
    }

    func forget(_ descriptor: Int32) {
        // A descriptor that was closed before has left the set by itself.
        _ = omni2_epoll_change(set.raw, Int32(EPOLL_CTL_DEL), descriptor, 0, 0)
    }

    /// Ends the wait in `next`, now or when it begins.
    func wake() {
        var one: UInt64 = 1
        // A full counter means that the wake is on its way already.
        _ = unsafe write(alarm.raw, &one, 8)
    }

    /// What is ready; empty after `wake`, or when the ring could not wait.
    func next(_ io: any IO, until deadline: MonotonicTime = .distantFuture) async -> [Event] {
        do throws(SystemError) {
            _ = try await io.readiness(of: set.raw, .readable, until: deadline)
        } catch {
            // At the limit of waits, or out of time: the caller looks again after a moment.
            if !error.isTimeout { await io.sleep(until: io.now + .milliseconds(10)) }
            return []
        }
        return ready()
    }

    private func ready() -> [Event] {
        let count = unsafe omni2_epoll_ready(set.raw, &tags, &events, Int32(Self.batch))
        guard count > 0 else { return [] }
        var ready: [Event] = []
        ready.reserveCapacity(Int(count))
        for index in 0..<Int(count) {
            if tags[index] == Self.alarmTag {
                silence()
            } else {
                ready.append(
                    Event(tag: tags[index], readiness: Readiness(rawValue: events[index])))
            }
        }
        return ready
    }

    private func silence() {
        var count: UInt64 = 0
        // EAGAIN cannot matter: the counter is being set to zero.
        _ = unsafe read(alarm.raw, &count, 8)
    }
}
