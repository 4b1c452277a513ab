import OmniCore
import Testing

@Suite("Bytes: ByteMask")
struct ByteMaskTests {
    private static let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    private static let mask = ByteMask(key[0], key[1], key[2], key[3])

    private func masked(_ bytes: [UInt8], _ range: ByteRange, phase: Int) -> [UInt8] {
        var bytes = bytes
        var elements = bytes.mutableSpan
        var span = unsafe elements.mutableBytes
        Self.mask.apply(to: &span, range, phase: phase)
        return bytes
    }

    /// Every length around the word sizes, at every alignment and phase: neighbours stay as they
    /// are, and each byte meets its own byte of the key.
    @Test(arguments: Array(0...40) + [63, 64, 65, 125, 126, 127, 250, 1024])
    func everyTailIsMaskedAndNothingElse(count: Int) {
        for offset in 0..<9 {
            for phase in 0..<4 {
                let bytes = (0..<offset + count + 9).map { UInt8(truncatingIfNeeded: $0 * 7) }
                var expected = bytes
                for index in 0..<count { expected[offset + index] ^= Self.key[(phase + index) & 3] }
                let range = ByteRange(offset: offset, count: count)
                #expect(masked(bytes, range, phase: phase) == expected)
            }
        }
    }

    @Test func aRangeOutsideTheBufferTraps() async {
        await #expect(processExitsWith: .failure) {
            var bytes: [UInt8] = [1, 2, 3]
            var elements = bytes.mutableSpan
            var span = unsafe elements.mutableBytes
            ByteMask(1, 2, 3, 4).apply(to: &span, ByteRange(offset: 1, count: 3))
        }
    }
}
