internal import CShims.Linux
internal import Glibc

/// The pieces of one gathered send, at a stable address.
///
/// `@safe`: the memory is private and lives as long as the object; the pieces' own memory is the
/// caller's promise until the send completes.
@safe
public final class SendVector {
    public static let capacity = 64

    let message: UnsafeMutablePointer<msghdr>
    private let pieces: UnsafeMutablePointer<iovec>
    public private(set) var count = 0
    public private(set) var byteCount = 0

    public init() {
        unsafe message = .allocate(capacity: 1)
        unsafe message.initialize(to: msghdr())
        unsafe pieces = .allocate(capacity: Self.capacity)
        unsafe pieces.initialize(repeating: iovec(), count: Self.capacity)
        unsafe message.pointee.msg_iov = unsafe pieces
    }

    deinit {
        unsafe message.deallocate()
        unsafe pieces.deallocate()
    }

    public var isFull: Bool { count == Self.capacity }

    public func removeAll() {
        count = 0
        byteCount = 0
        unsafe message.pointee.msg_iovlen = 0
    }

    /// False when full.
    public func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if isFull { return false }
        unsafe pieces[count] = iovec(
            iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        count += 1
        byteCount += bytes.count
        unsafe message.pointee.msg_iovlen = count
        return true
    }
}
