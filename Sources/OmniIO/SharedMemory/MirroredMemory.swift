internal import CShims.Linux
internal import Glibc

/// Memory that follows itself: the same pages mapped twice in a row, so that every window of up to
/// `byteCount` bytes of a ring is contiguous, the one across the seam too.
///
/// `@safe`: the mapping is private to the object and lives as long as it does.
@safe
public final class MirroredMemory {
    public let byteCount: Int
    private let base: UnsafeMutableRawPointer
    /// The memory itself, for a successor process.
    public let descriptor: Int32

    /// `byteCount` is rounded up to whole pages.
    public convenience init(byteCount: Int) throws(SystemError) {
        let page = sysconf(Int32(_SC_PAGESIZE))
        let rounded = (max(byteCount, 1) + page - 1) / page * page
        let descriptor = unsafe omni2_anonymous_file("omni2-events")
        guard descriptor >= 0 else { throw SystemError("memfd_create", descriptor) }
        guard ftruncate(descriptor, rounded) == 0 else {
            let code = errno
            close(descriptor)
            throw SystemError("ftruncate", code)
        }
        try self.init(descriptor: descriptor, byteCount: rounded)
    }

    /// Maps a part of what a predecessor left, whole pages; owns `descriptor` from now on, also when
    /// it throws.
    public init(
        descriptor: Int32, offset: Int = 0, byteCount: Int
    ) throws(SystemError) {
        self.byteCount = byteCount
        self.descriptor = descriptor
        let reserved = unsafe mmap(
            nil, byteCount * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let reserved = unsafe reserved, unsafe reserved != MAP_FAILED else {
            let code = errno
            close(descriptor)
            throw SystemError("mmap", code)
        }
        unsafe base = reserved
        for half in 0..<2 {
            let place = unsafe reserved + half * byteCount
            let mapped = unsafe mmap(
                place, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor,
                offset)
            guard unsafe mapped == place else {
                let code = errno
                unsafe munmap(reserved, byteCount * 2)
                close(descriptor)
                throw SystemError("mmap", code)
            }
        }
    }

    deinit {
        unsafe munmap(base, byteCount * 2)
        close(descriptor)
    }

    /// The window that begins at ring position `position` (any number; it wraps).
    public func window(at position: UInt64, count: Int) -> UnsafeMutableRawBufferPointer {
        precondition(count <= byteCount, "a window is not longer than its ring")
        let offset = Int(position % UInt64(byteCount))
        return unsafe UnsafeMutableRawBufferPointer(start: base + offset, count: count)
    }
}
