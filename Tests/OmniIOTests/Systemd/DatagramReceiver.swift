import Glibc

/// A Unix datagram socket in a directory of its own: journald or the service manager, as a test
/// sees them.
final class DatagramReceiver {
    struct Message {
        var bytes: [UInt8]
        /// Open, and the receiver's to close.
        var descriptors: [Int32]

        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    let path: String
    private let directory: String
    private let descriptor: Int32

    /// In a new directory, or in one that is there.
    init(in given: String? = nil) {
        directory = given ?? makeTemporaryDirectory()
        path = "\(directory)/socket"
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        precondition(descriptor >= 0)
        let status = bindUnix(descriptor, path)
        precondition(status == 0, "bind \(path): \(errno)")
    }

    deinit {
        close(descriptor)
        unsafe unlink(path)
        // Fails, as it should, where the directory is shared with a successor that is still there.
        unsafe rmdir(directory)
    }

    /// The next message, if one has arrived; sends to a Unix socket arrive before they return.
    func receive() -> Message? {
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        var control = [UInt8](repeating: 0, count: 2048)
        let (count, controlCount) = unsafe bytes.withUnsafeMutableBytes { room in
            unsafe control.withUnsafeMutableBytes { controlRoom in
                var vector = unsafe iovec(iov_base: room.baseAddress, iov_len: room.count)
                return unsafe withUnsafeMutablePointer(to: &vector) { vector in
                    var header = unsafe msghdr()
                    unsafe header.msg_iov = vector
                    unsafe header.msg_iovlen = 1
                    unsafe header.msg_control = controlRoom.baseAddress
                    unsafe header.msg_controllen = controlRoom.count
                    let flags = Int32(MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
                    let count = unsafe recvmsg(descriptor, &header, flags)
                    return (count, unsafe header.msg_controllen)
                }
            }
        }
        guard count >= 0 else { return nil }
        return Message(
            bytes: Array(bytes[..<count]),
            descriptors: controlCount > 16 ? Self.descriptors(control) : [])
    }

    func receiveAll() -> [Message] {
        var messages: [Message] = []
        while let message = receive() { messages.append(message) }
        return messages
    }

    /// One SCM_RIGHTS header: its length in 8 bytes, level, type, then the descriptors.
    private static func descriptors(_ control: [UInt8]) -> [Int32] {
        func number(_ offset: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(control[offset + $1]) << (8 * $1) }
        }
        return stride(from: 16, to: number(0), by: 4).map { Int32(number($0)) }
    }
}

/// Binds a Unix socket; without a path to a name of the kernel's choice that leaves no file.
func bindUnix(_ descriptor: Int32, _ path: String = "") -> Int32 {
    // struct sockaddr_un: the family in host order, the path, a zero.
    var address = [UInt8(AF_UNIX), 0] + Array(path.utf8)
    if !path.isEmpty { address.append(0) }
    return unsafe address.withUnsafeBytes { bytes in
        let pointer = unsafe bytes.bindMemory(to: sockaddr.self).baseAddress!
        return unsafe bind(descriptor, pointer, socklen_t(bytes.count))
    }
}

/// A new directory, the caller's to remove.
func makeTemporaryDirectory() -> String {
    var template = Array("/tmp/omni2-test-XXXXXX".utf8CString)
    return unsafe template.withUnsafeMutableBufferPointer { room in
        guard let path = unsafe mkdtemp(room.baseAddress!) else {
            preconditionFailure("mkdtemp: \(errno)")
        }
        return unsafe String(cString: path)
    }
}

/// An open file that has no name any more.
func makeTemporaryFile() -> Int32 {
    var template = Array("/tmp/omni2-test-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    precondition(descriptor >= 0)
    unsafe unlink(template)
    return descriptor
}

/// Everything in the file behind a descriptor.
func content(of descriptor: Int32) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = unsafe chunk.withUnsafeMutableBytes {
            unsafe pread(descriptor, $0.baseAddress, $0.count, off_t(bytes.count))
        }
        if count <= 0 { return bytes }
        bytes += chunk[..<count]
    }
}
