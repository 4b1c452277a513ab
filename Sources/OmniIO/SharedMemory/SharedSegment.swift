internal import CShims.Cache
internal import CShims.Linux
public import OmniCore

/// One sealed memfd, mapped read-write for as long as this object lives.
///
/// Sealed against shrinking, growing and further seals, so that no mapping of it can ever fault;
/// mode 0600, so that a reader's read-only descriptor cannot be re-opened for writing by another
/// user. The address range is fixed at creation; memory is taken from the kernel in steps by
/// `reserve` before anybody touches it and given back by `release`.
///
/// The mapping is left out of forks and core dumps.
@safe
public final class SharedSegment {
    public let bytes: Int
    let base: UnsafeMutableRawPointer
    private let ownedDescriptor: Int32

    /// A new segment, all holes.
    public init(name: StaticString, bytes: Int) throws(SystemError) {
        let made = unsafe name.utf8Start.withMemoryRebound(
            to: CChar.self, capacity: name.utf8CodeUnitCount
        ) { unsafe omni2_memfd($0, UInt64(bytes)) }
        guard made >= 0 else { throw SystemError("memfd_create", made) }
        unsafe base = try Self.map(made, bytes: bytes)
        ownedDescriptor = made
        self.bytes = bytes
    }

    /// A segment that an earlier process made. Takes the descriptor over, also when it throws.
    public init(adopting descriptor: Int32) throws(SystemError) {
        let seals = omni2_seals(descriptor)
        guard seals >= 0, seals & F_SEAL_SHRINK != 0 else {
            close(descriptor)
            throw SystemError("F_GET_SEALS", seals < 0 ? seals : EPERM)
        }
        let size = omni2_file_bytes(descriptor)
        guard size > 0 else {
            close(descriptor)
            throw SystemError("fstat", size < 0 ? Int32(size) : EINVAL)
        }
        bytes = Int(size)
        unsafe base = try Self.map(descriptor, bytes: bytes)
        ownedDescriptor = descriptor
    }

    deinit {
        unsafe munmap(base, bytes)
        close(ownedDescriptor)
    }

    /// The read-write descriptor, for systemd's descriptor store. Stays owned by the segment.
    public var descriptor: Int32 { ownedDescriptor }

    /// A fresh read-only descriptor of the same memory; the caller closes it.
    public func readOnlyDescriptor() throws(SystemError) -> Int32 {
        let copy = omni2_reopen_read_only(ownedDescriptor)
        guard copy >= 0 else { throw SystemError("open", copy) }
        return copy
    }

    /// Takes memory for a range from the kernel. Beyond the cgroup's limit the kernel kills instead
    /// of refusing, so ask `MemoryLimit` first.
    func reserve(offset: Int, count: Int) throws(SystemError) {
        let result = omni2_reserve(ownedDescriptor, UInt64(offset), UInt64(count))
        guard result == 0 else { throw SystemError("fallocate", result) }
    }

    /// Gives a range back to the kernel, also under readers that still map it: they read zeros.
    func release(offset: Int, count: Int) throws(SystemError) {
        let result = omni2_release(ownedDescriptor, UInt64(offset), UInt64(count))
        guard result == 0 else { throw SystemError("fallocate", result) }
    }

    /// Makes huge pages of whole 2 MiB. Blocks for about a millisecond each; contents stay, and
    /// whoever reads or writes meanwhile waits for no more than that.
    func mergePages(offset: Int, count: Int) -> Bool {
        unsafe omni2_merge_pages(base + offset, UInt64(count)) == 0
    }

    private static func map(
        _ descriptor: Int32, bytes: Int
    ) throws(SystemError) -> UnsafeMutableRawPointer {
        var address: UnsafeMutableRawPointer?
        let result = unsafe omni2_map(descriptor, UInt64(bytes), &address)
        guard result == 0, let address = unsafe address else {
            close(descriptor)
            throw SystemError("mmap", result)
        }
        return unsafe address
    }
}

/// One piece of a segment to be made of a huge page, on any thread.
///
/// `@unchecked Sendable`: the segment is kept mapped and none of its state is changed.
public struct PageMerge: @unchecked Sendable {
    let segment: SharedSegment
    let offset: Int
    let count: Int

    /// False where the kernel does not do it.
    public func run() -> Bool { segment.mergePages(offset: offset, count: count) }
}

/// The clock that the cache's expiries are measured on: it counts through suspend and does not
/// follow the wall clock.
public enum BootClock {
    public static func now() -> MonotonicTime {
        MonotonicTime(nanoseconds: omni2_boot_clock())
    }
}
