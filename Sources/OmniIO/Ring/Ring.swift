internal import CShims.Linux
internal import CShims.Uring
internal import Glibc
internal import OmniCore

/// Owner of one io_uring: queues operations, submits them together, reaps what finished.
///
/// Used by one thread only. An operation's memory must stay valid until its completion arrives; the
/// layers above guarantee it by never dropping a buffer whose token is outstanding. `@safe`: the
/// pointer is private, allocated in `init`, freed in `deinit`, and the struct cannot be copied.
@safe
struct Ring: ~Copyable {
    private let ring: UnsafeMutablePointer<io_uring>
    /// What the kernel granted, for the journal.
    let features: Features

    struct Features {
        let entries: UInt32
        let defersTaskWork: Bool
    }

    /// Throws ENOSYS, EPERM or ENOMEM where io_uring is missing, forbidden or out of locked memory.
    init(entries: UInt32, completions: UInt32) throws(SystemError) {
        let memory = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        // Deferred task work (6.1) runs completions only where we wait for them; older kernels take
        // the plain set-up. Only EINVAL means "does not know the flag".
        let preferred = UInt32(
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE
                | IORING_SETUP_SUBMIT_ALL)
        let plain = UInt32(IORING_SETUP_CQSIZE)
        var status: Int32 = 0
        for flags in [preferred, plain] {
            var parameters = io_uring_params()
            parameters.flags = flags
            parameters.cq_entries = completions
            status = unsafe io_uring_queue_init_params(entries, memory, &parameters)
            if status == 0 {
                unsafe ring = memory
                features = Features(entries: entries, defersTaskWork: flags == preferred)
                return
            }
            if status != -EINVAL { break }
        }
        unsafe memory.deallocate()
        throw SystemError("io_uring_setup", status)
    }

    deinit {
        unsafe io_uring_queue_exit(ring)
        unsafe ring.deallocate()
    }

    /// The next free submission entry; submits what is queued when there is none.
    @inline(__always)
    private func entry(_ token: CompletionToken) -> UnsafeMutablePointer<io_uring_sqe> {
        if let sqe = unsafe io_uring_get_sqe(ring) { return unsafe sqe }
        unsafe io_uring_submit(ring)
        guard let sqe = unsafe io_uring_get_sqe(ring) else {
            preconditionFailure("the submission queue stays full after a submit")
        }
        return unsafe sqe
    }

    func accept(on descriptor: Int32, token: CompletionToken) {
        let sqe = unsafe entry(token)
        unsafe io_uring_prep_multishot_accept(
            sqe, descriptor, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
        unsafe sqe.pointee.user_data = token.rawValue
    }

    /// Receives into provided buffers until it fails or the buffers run out.
    func receive(on descriptor: Int32, token: CompletionToken) {
        let sqe = unsafe entry(token)
        unsafe io_uring_prep_recv_multishot(sqe, descriptor, nil, 0, 0)
        unsafe omni2_uring_select_buffer(sqe)
        unsafe sqe.pointee.user_data = token.rawValue
    }

    func receive(
        on descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, token: CompletionToken
    ) {
        let sqe = unsafe entry(token)
        unsafe io_uring_prep_recv(sqe, descriptor, bytes.baseAddress, bytes.count, 0)
        unsafe sqe.pointee.user_data = token.rawValue
    }

    /// With `waits` false it takes what fits at once: MSG_DONTWAIT keeps the ring from arming a
    /// poll, so the bytes are read during the submission and never after it.
    func send(
        on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, waits: Bool = true,
        token: CompletionToken
    ) {
        let sqe = unsafe entry(token)
        let flags = Int32(MSG_NOSIGNAL) | (waits ? 0 : Int32(MSG_DONTWAIT))
        unsafe io_uring_prep_send(sqe, descriptor, bytes.baseAddress, bytes.count, flags)
        unsafe sqe.pointee.user_data = token.rawValue
    }

    func send(on descriptor: Int32, message: UnsafePointer<msghdr>, token: CompletionToken) {
        let sqe = unsafe entry(token)
        unsafe io_uring_prep_sendmsg(sqe, descriptor, message, UInt32(MSG_NOSIGNAL))
        unsafe sqe.pointee.user_data = token.rawValue
    }

    func read(
        from descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, token: CompletionToken
    ) {
        let sqe = unsafe entry(token)
        unsafe io_uring_prep_read(
            sqe, descriptor, bytes.baseAddress, UInt32(clamping: bytes.count), UInt64.max)
        unsafe sqe.pointee.user_data = token.rawValue
    }

    func write(to descriptor: Int32, _ bytes: UnsafeRawBufferPointer, token: CompletionToken) {
        let sqe = unsafe entry(token)
        unsafe io_uring_prep_write(
            sqe, descriptor, bytes.baseAddress, UInt32(clamping: bytes.count), UInt64.max)
        unsafe sqe.pointee.user_data = token.rawValue
    }

    func connect(
        _ descriptor: Int32, to address: UnsafePointer<sockaddr>, length: socklen_t,
        token: CompletionToken
    ) {
        let sqe = unsafe entry(token)
        unsafe io_uring_prep_connect(sqe, descriptor, address, length)
        unsafe sqe.pointee.user_data = token.rawValue
    }

    func poll(_ descriptor: Int32, events: UInt32, token: CompletionToken) {
        let sqe = unsafe entry(token)
        unsafe io_uring_prep_poll_add(sqe, descriptor, events)
        unsafe sqe.pointee.user_data = token.rawValue
    }

    func close(_ descriptor: Int32) {
        let sqe = unsafe entry(.ignored)
        unsafe io_uring_prep_close(sqe, descriptor)
        unsafe sqe.pointee.user_data = CompletionToken.ignored.rawValue
    }

    var descriptor: Int32 { unsafe ring.pointee.ring_fd }

    /// Puts a completion with `token` into another ring's queue. Completes here only if that fails.
    func message(to other: Int32, token: CompletionToken, failed: CompletionToken) {
        let sqe = unsafe entry(failed)
        unsafe io_uring_prep_msg_ring(sqe, other, 0, token.rawValue, 0)
        unsafe sqe.pointee.user_data = failed.rawValue
        unsafe omni2_uring_skip_success(sqe)
    }

    /// Asks for every operation with this token to end; they complete with ECANCELED.
    func cancel(_ target: CompletionToken) {
        let sqe = unsafe entry(.ignored)
        unsafe io_uring_prep_cancel64(sqe, target.rawValue, Int32(IORING_ASYNC_CANCEL_ALL))
        unsafe sqe.pointee.user_data = CompletionToken.ignored.rawValue
    }

    /// The one system call of a turn. Nil waits without end, zero not at all.
    func submitAndWait(_ timeout: Duration?) throws(SystemError) {
        let nanoseconds = timeout.map { max(0, $0.nanosecondsClamped) } ?? -1
        let status = unsafe omni2_uring_submit_and_wait(ring, nanoseconds)
        // ETIME: the timeout ran. EINTR: a signal came. EAGAIN and EBUSY: the kernel wants its
        // completions reaped before it takes more; the turn that follows does just that.
        if status >= 0 || status == -ETIME || status == -EINTR || status == -EAGAIN
            || status == -EBUSY
        {
            return
        }
        throw SystemError("io_uring_enter", status)
    }

    /// Operations queued since the beginning; wraps around.
    var queuedCount: UInt32 { unsafe ring.pointee.sq.sqe_tail }

    /// Copies up to `limit` completions out of the queue.
    func reap(into completions: inout [Completion], limit: Int) {
        var batch: (UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt) = (0, 0, 0, 0, 0, 0, 0, 0)
        unsafe withUnsafeMutableBytes(of: &batch) { raw in
            let pointers = unsafe raw.bindMemory(to: UnsafeMutablePointer<io_uring_cqe>?.self)
            while completions.count < limit {
                let count = unsafe io_uring_peek_batch_cqe(ring, pointers.baseAddress, 8)
                if count == 0 { return }
                for index in 0..<Int(count) {
                    guard let cqe = unsafe pointers[index]?.pointee else { continue }
                    completions.append(
                        Completion(
                            token: CompletionToken(rawValue: cqe.user_data),
                            result: cqe.res, flags: cqe.flags))
                }
                unsafe io_uring_cq_advance(ring, count)
            }
        }
    }

    /// Takes ownership of nothing: `BufferRing` keeps the memory, the kernel borrows it.
    func register(_ entries: UInt32) throws(SystemError) -> UnsafeMutablePointer<io_uring_buf_ring>
    {
        var buffers: UnsafeMutablePointer<io_uring_buf_ring>?
        let status = unsafe omni2_uring_register_buffers(ring, entries, &buffers)
        guard status == 0, let buffers = unsafe buffers else {
            throw SystemError("io_uring_register_buf_ring", status)
        }
        return unsafe buffers
    }
}

extension Completion {
    /// The operation stays armed and will complete again.
    public var hasMore: Bool { flags & UInt32(IORING_CQE_F_MORE) != 0 }

    /// The provided buffer that holds the received bytes.
    public var buffer: UInt16? {
        flags & UInt32(IORING_CQE_F_BUFFER) == 0
            ? nil : UInt16(truncatingIfNeeded: flags >> UInt32(IORING_CQE_BUFFER_SHIFT))
    }
}
