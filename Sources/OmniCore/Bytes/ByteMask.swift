/// The XOR mask of RFC 6455 §5.3, applied in place.
///
/// The one measured unsafe helper of this module: whole words through a raw pointer, 58 ns for
/// 1 KiB where a loop over bytes takes 480 ns.
public struct ByteMask: Hashable, Sendable {
    /// The key as the four bytes on the wire, in memory order.
    public let key: UInt32

    public init(key: UInt32) { self.key = key }

    public init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        let value =
            UInt32(first) | UInt32(second) << 8 | UInt32(third) << 16 | UInt32(fourth) << 24
        key = UInt32(littleEndian: value)
    }

    /// Masks or unmasks `range`, whose first byte is byte number `phase` of the frame's payload.
    public func apply(to bytes: inout MutableRawSpan, _ range: ByteRange, phase: Int = 0) {
        precondition(range.end <= bytes.byteCount, "masked range lies outside the buffer")
        let turn = UInt32(truncatingIfNeeded: phase & 3) * 8
        let little = key.littleEndian
        let rotated = turn == 0 ? little : little >> turn | little << (32 - turn)
        let word = UInt64(rotated) << 32 | UInt64(rotated)
        // Holds: the precondition keeps every access inside the span's memory.
        unsafe bytes.withUnsafeMutableBytes { memory in
            guard let base = memory.baseAddress else { return }
            unsafe Self.applyWords(word, to: base + range.offset, count: range.count)
        }
    }

    @inline(__always)
    private static func applyWords(
        _ word: UInt64, to base: UnsafeMutableRawPointer, count: Int
    ) {
        let wide = SIMD4<UInt64>(repeating: word.littleEndian)
        var offset = 0
        while offset + 32 <= count {
            let place = unsafe base + offset
            let value = unsafe place.loadUnaligned(as: SIMD4<UInt64>.self)
            unsafe place.storeBytes(of: value ^ wide, as: SIMD4<UInt64>.self)
            offset += 32
        }
        while offset + 8 <= count {
            let place = unsafe base + offset
            let value = unsafe place.loadUnaligned(as: UInt64.self)
            unsafe place.storeBytes(of: value ^ word.littleEndian, as: UInt64.self)
            offset += 8
        }
        var rest = word
        while offset < count {
            let place = unsafe base + offset
            let value = unsafe place.load(as: UInt8.self)
            unsafe place.storeBytes(
                of: value ^ UInt8(truncatingIfNeeded: rest), as: UInt8.self)
            rest >>= 8
            offset += 1
        }
    }
}
