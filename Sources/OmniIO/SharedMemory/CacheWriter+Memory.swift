internal import CShims.Cache
public import OmniCore

/// Value memory: taken from the kernel step by step when it is first needed, and given back.
extension CacheWriter {
    /// Memory is taken from the kernel and given back in steps of this size.
    static let stepBytes = 2 << 20
    static let unitsPerStep = stepBytes / unitBytes

    /// Takes the next step of memory, if configuration, cgroup and kernel allow.
    func grow() -> Bool {
        guard stepsReserved < reservedSteps.count,
            let step = reservedSteps.firstIndex(of: false),
            memoryLimit.allows(Self.stepBytes, beyond: bytesReserved, at: latest)
        else { return false }
        let offset = Int(geometry.value_offset) + step * Self.stepBytes
        do throws(SystemError) {
            try segment.reserve(offset: offset, count: Self.stepBytes)
        } catch {
            // No memory is an ordinary answer here: the caller evicts instead.
            memoryLimit.refused(at: latest)
            return false
        }
        reservedSteps[step] = true
        stepsReserved += 1
        allocator.add(unit: UInt32(step * Self.unitsPerStep), count: UInt32(Self.unitsPerStep))
        return true
    }

    /// Answers memory pressure: evicts a quarter of the entries and gives whole free steps back.
    /// Returns the bytes returned to the kernel.
    @discardableResult
    public func relieveMemoryPressure(at now: MonotonicTime) -> Int {
        let now = advance(to: now)
        reclaim(at: now, limit: slots.count)
        for _ in 0..<(slots.count - spareSlots.count) / 4 {
            guard evict(sparing: ExtentAllocator.none) else { break }
        }
        let before = bytesReserved
        releaseFreeSteps()
        memoryLimit.refused(at: now)
        publishGauges()
        return before - bytesReserved
    }

    /// Steps that hold no value go back to the kernel.
    private func releaseFreeSteps() {
        for node in allocator.longestFree(limit: reservedSteps.count) {
            let start = Int(allocator.unit(of: node))
            let end = start + Int(allocator.count(of: node))
            let firstStep = (start + Self.unitsPerStep - 1) / Self.unitsPerStep
            let lastStep = end / Self.unitsPerStep
            guard firstStep < lastStep else { continue }
            allocator.withdraw(
                unit: UInt32(firstStep * Self.unitsPerStep),
                count: UInt32((lastStep - firstStep) * Self.unitsPerStep), from: node)
            // After a refusal the list of free extents is no longer what it was.
            guard giveBack(firstStep..<lastStep) else { return }
        }
    }

    /// False if the kernel refused; what it kept is ours to use again.
    private func giveBack(_ steps: Range<Int>) -> Bool {
        for step in steps {
            let offset = Int(geometry.value_offset) + step * Self.stepBytes
            do throws(SystemError) {
                try segment.release(offset: offset, count: Self.stepBytes)
            } catch {
                allocator.add(
                    unit: UInt32(step * Self.unitsPerStep),
                    count: UInt32((steps.upperBound - step) * Self.unitsPerStep))
                return false
            }
            reservedSteps[step] = false
            stepsReserved -= 1
        }
        return true
    }
}
