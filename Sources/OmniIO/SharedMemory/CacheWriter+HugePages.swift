internal import CShims.Cache

/// Huge pages for large caches: a lookup in hundreds of megabytes of small pages spends a sixth of
/// its time on address translation. Memory comes in steps of one huge page; merging the small
/// pages of a step takes a millisecond, so it is done on another thread, one step at a time.
struct PageMerging {
    /// Offsets in the segment, each of 2 MiB that have memory.
    var waiting: [Int] = []
    var current: Int?
    /// A kernel that refused once is not asked again.
    var isRefused = false

    mutating func forget(_ offset: Int) {
        if let index = waiting.firstIndex(of: offset) { waiting.remove(at: index) }
    }
}

extension CacheWriter {
    /// Below this much value memory, small pages do as well.
    static let mergedFrom = 32 << 20

    /// The next piece to merge, if any. Run it on another thread, then call `endMerge`.
    public func beginMerge() -> PageMerge? {
        guard merging.current == nil, !merging.isRefused, bytesReserved >= Self.mergedFrom,
            // The old pages go when the new one is there.
            memoryLimit.allows(Self.stepBytes, beyond: bytesReserved, at: latest),
            let next = merging.waiting.popLast()
        else { return nil }
        merging.current = next
        return PageMerge(segment: segment, offset: next, count: Self.stepBytes)
    }

    public func endMerge(succeeded: Bool) {
        merging.current = nil
        if !succeeded {
            merging.isRefused = true
            merging.waiting = []
        }
    }

    /// Index and descriptors have memory from the start.
    func mergeTables() {
        merging.waiting += (0..<geometry.namesOffset / Self.stepBytes).map { $0 * Self.stepBytes }
    }

    func mergeLater(step: Int) {
        guard !merging.isRefused else { return }
        merging.waiting.append(offset(ofStep: step))
    }

    /// The step of value memory that is being merged.
    var stepMerging: Int? {
        merging.current.map { ($0 - Int(geometry.value_offset)) / Self.stepBytes }
    }

    func offset(ofStep step: Int) -> Int { Int(geometry.value_offset) + step * Self.stepBytes }
}
