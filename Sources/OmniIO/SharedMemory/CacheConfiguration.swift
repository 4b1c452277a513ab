internal import CShims.Cache
internal import Glibc

/// Bounds of one cache segment. Fixed for the segment's life: a change needs a successor.
public struct CacheConfiguration: Sendable {
    /// Entries at most; the least recently used makes room.
    public var entriesMax = 1000
    /// Bytes of value memory at most, counted in units of 64; rounded up to 2 MiB.
    public var bytesMax = 64 << 20
    /// A longer value is not stored, and counted.
    public var valueBytesMax = 1 << 20
    /// Life of an entry that is put without its own.
    public var ttl: Duration = .seconds(300)
    /// How long past its life the daemon may still answer with an entry; readers never do.
    public var staleness: Duration = .zero
    /// Distinct servers and (server, tool) pairs known at a time; the idle one makes room.
    public var serversMax = 256
    public var toolsMax = 4096
    /// Readers whose recency is listened to at a time; further ones read without leaving any.
    public var readersMax = 32

    public init() {}

    /// Values no configuration may exceed: they follow from the widths in the layout.
    static let entriesLimit = 1 << 28
    static let identifiersLimit = 65535
}

/// Which (server, tool) an entry belongs to: small numbers that the layout has room for.
public struct CacheOrigin: Hashable, Sendable {
    public let server: UInt16
    public let tool: UInt16
}

/// Taken before the upstream is asked, presented with its answer: says what was already
/// invalidated when the question left.
public struct FillToken: Sendable {
    public let origin: CacheOrigin
    let stamp: UInt64
    /// Stamps of different segments do not compare.
    let segment: UInt64
}

/// What became of a value.
public enum PutOutcome: Equatable, Sendable {
    case stored
    /// The key had a value already; it keeps its place in the order of use.
    case replaced
    /// Longer than `valueBytesMax`.
    case tooLarge
    /// The origin was invalidated after the fill began: the value may be older than that.
    case outdated
    /// No memory, not even after evicting what may be evicted.
    case noSpace
}

/// Why a segment found in the descriptor store cannot be continued. The answer is a new one.
public enum CacheRecoveryError: Error, Equatable {
    /// Not a segment of this layout, or damaged.
    case notASegment
    /// Its daemon retired it, or died while laying it out.
    case notLive
    /// Made for other bounds than configured.
    case otherBounds
    /// Its times lie in the future: it belongs to another boot or time namespace.
    case otherClock
    case system(SystemError)
}

extension CacheConfiguration {
    /// The same with every field inside what the layout can express.
    var bounded: Self {
        var copy = self
        copy.entriesMax = min(max(1, entriesMax), Self.entriesLimit)
        copy.serversMax = min(max(1, serversMax), Self.identifiersLimit)
        copy.toolsMax = min(max(1, toolsMax), Self.identifiersLimit)
        copy.readersMax = max(0, readersMax)
        copy.bytesMax = min(max(1, bytesMax), Int(UInt32.max) * CacheWriter.unitBytes)
        let steps = (copy.bytesMax + CacheWriter.stepBytes - 1) / CacheWriter.stepBytes
        copy.bytesMax = steps * CacheWriter.stepBytes
        copy.valueBytesMax = min(max(0, valueBytesMax), copy.bytesMax)
        return copy
    }

    /// Lays the segment out; returns its size.
    func plan(
        _ geometry: inout omni2_geometry, identifier: UInt64, seed: (UInt64, UInt64)
    ) -> Int {
        unsafe Int(
            omni2_geometry_plan(
                &geometry, UInt64(entriesMax), UInt32(serversMax), UInt32(toolsMax),
                UInt64(bytesMax), identifier, seed.0, seed.1))
    }

    /// With the bounds of the segment behind `descriptor`, or unchanged if it is none.
    public func bounded(as descriptor: Int32) -> Self {
        var geometry = omni2_geometry()
        let count = MemoryLayout<omni2_geometry>.size
        let read = unsafe pread(descriptor, &geometry, count, 0)
        guard read == count, unsafe omni2_geometry_check(&geometry, geometry.segment_bytes) == 0
        else { return self }
        var copy = self
        copy.entriesMax = Int(geometry.descriptor_count)
        copy.bytesMax = Int(geometry.value_units) * CacheWriter.unitBytes
        copy.serversMax = Int(geometry.server_count)
        copy.toolsMax = Int(geometry.tool_count)
        return copy
    }

    /// Whether both make segments of the same bounds.
    public func hasBounds(of other: Self) -> Bool {
        let (one, two) = (bounded, other.bounded)
        return one.entriesMax == two.entriesMax && one.bytesMax == two.bytesMax
            && one.serversMax == two.serversMax && one.toolsMax == two.toolsMax
    }

    /// Whether a segment of this geometry is what the configuration would make.
    func matches(_ geometry: omni2_geometry) -> Bool {
        var planned = omni2_geometry()
        let bytes = plan(&planned, identifier: 0, seed: (0, 0))
        return geometry.descriptor_count == planned.descriptor_count
            && geometry.index_mask == planned.index_mask
            && geometry.server_count == planned.server_count
            && geometry.tool_count == planned.tool_count
            && geometry.value_units == planned.value_units
            && geometry.value_offset == planned.value_offset
            && geometry.segment_bytes == UInt64(bytes)
    }
}

extension omni2_geometry {
    /// Everything below is read or written from the first moment.
    var namesOffset: Int {
        var copy = self
        return unsafe Int(omni2_names_offset(&copy))
    }
}
