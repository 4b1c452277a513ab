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
        do throws(SystemError) {
            try segment.reserve(offset: offset(ofStep: step), count: Self.stepBytes)
        } catch {
            // No memory is an ordinary answer here: the caller evicts instead.
            memoryLimit.refused(at: latest)
            return false
        }
        reservedSteps[step] = true
        stepsReserved += 1
        mergeLater(step: step)
        allocator.add(unit: UInt32(step * Self.unitsPerStep), count: UInt32(Self.unitsPerStep))
        return true
    }

    /// Answers memory pressure: gives up dead entries, then the least recently used ones until
    /// `target` bytes of values are left, joins what is left together and gives the rest of the
    /// memory back to the kernel. Works in slices of at most `limit` entries or one step of memory;
    /// true if there is more to do.
    public func trim(toBytes target: Int, at now: MonotonicTime, limit: Int = 256) -> Bool {
        let now = advance(to: now)
        defer { publishGauges() }
        // What is given back now must not be taken again by the next put.
        memoryLimit.refused(at: now)
        if reclaim(at: now, limit: limit) == limit { return true }
        for _ in 0..<limit {
            guard bytesUsed > target, evict(sparing: ExtentAllocator.none) else {
                let hasMoved = emptyTopStep()
                releaseFreeSteps()
                return hasMoved
            }
        }
        return true
    }

    /// Moves what lies in the highest step elsewhere, if there is room. False if it stays.
    private func emptyTopStep() -> Bool {
        guard let step = reservedSteps.lastIndex(of: true),
            merging.current != offset(ofStep: step),
            bytesReserved - bytesUsed >= Self.stepBytes
        else { return false }
        let start = UInt32(step * Self.unitsPerStep)
        for node in allocator.nodes(endingAbove: start) {
            let owner = allocator.owner(of: node)
            if owner != ExtentAllocator.none, isInvalid(descriptor(owner)) { drop(owner) }
        }
        return moveAway(allocator.nodes(endingAbove: start))
    }

    /// Steps that hold no value go back to the kernel.
    private func releaseFreeSteps() {
        for node in allocator.longestFree(limit: reservedSteps.count) {
            let start = Int(allocator.unit(of: node))
            let end = start + Int(allocator.count(of: node))
            let firstStep = (start + Self.unitsPerStep - 1) / Self.unitsPerStep
            var lastStep = end / Self.unitsPerStep
            // What another thread is working on stays for now.
            if let step = stepMerging, firstStep <= step, step < lastStep { lastStep = step }
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
            do throws(SystemError) {
                try segment.release(offset: offset(ofStep: step), count: Self.stepBytes)
            } catch {
                allocator.add(
                    unit: UInt32(step * Self.unitsPerStep),
                    count: UInt32((steps.upperBound - step) * Self.unitsPerStep))
                return false
            }
            reservedSteps[step] = false
            stepsReserved -= 1
            merging.forget(offset(ofStep: step))
        }
        return true
    }
}
