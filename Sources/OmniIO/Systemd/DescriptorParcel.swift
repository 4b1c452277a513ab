internal import CShims.Systemd

/// Many descriptors in one: they lie in the queue of a socket whose other end is closed, and stay open
/// for as long as somebody holds it.
///
/// Systemd compares each descriptor it is given with all that it has, so a thousand single ones
/// are half a million comparisons during which it does nothing else. A parcel is one.
public enum DescriptorParcel {
    /// The kernel's limit for one message.
    public static let countMax = ServiceManager.descriptorsPerMessageMax

    /// Copies of them; the caller's own stay as they are.
    public static func pack(_ descriptors: [Int32]) throws(SystemError) -> Descriptor {
        precondition(descriptors.count <= countMax, "a parcel is one message")
        let parcel = unsafe descriptors.withUnsafeBufferPointer {
            unsafe omni2_parcel_pack($0.baseAddress, $0.count)
        }
        if parcel < 0 { throw SystemError("socketpair", parcel) }
        return Descriptor(parcel)
    }

    /// Everything that lies in it, open and the caller's. It is empty afterwards.
    public static func unpack(_ parcel: Int32) throws(SystemError) -> [Int32] {
        var descriptors = [Int32](repeating: -1, count: countMax)
        let count = unsafe descriptors.withUnsafeMutableBufferPointer {
            unsafe omni2_parcel_unpack(parcel, $0.baseAddress, $0.count)
        }
        if count < 0 { throw SystemError("recvmsg", count) }
        return Array(descriptors.prefix(Int(count)))
    }
}
