/// The subscribers as a dense table of plain values: what the drain walks through.
///
/// No reference lies in a row, so that a delivery touches one line of memory and counts nothing.
/// `@safe`: the memory is private, taken in `init`, freed in `deinit`; rows below `highWater` are
/// initialised.
@safe
final class SubscriberRows {
    struct Row {
        /// The next event to look at; of a flight in the air, its first.
        var cursor: UInt64
        /// Events and bytes of the flight in the air.
        var flyingCount: UInt32 = 0
        var flyingBytes: UInt32 = 0
        var descriptor: Int32
        var classID: Int32
        /// Seconds on the hub's clock.
        var lastHeard: UInt32
        /// Since when the peer has not taken what there is; 0 while it does.
        var stalledSince: UInt32 = 0
        /// Late completions name a former tenant of the row by an older one.
        var generation: UInt32
        var flags: Flags
    }

    struct Flags: OptionSet {
        let rawValue: UInt32
        /// Nobody is here.
        static let free = Flags(rawValue: 1)
        /// A window of the log is being sent.
        static let aloft = Flags(rawValue: 2)
        /// The connection sends bytes of its own first, or not at all any more.
        static let blocked = Flags(rawValue: 4)
        /// Agreed on compression with a window that the log's compressed frames may use.
        static let compressed = Flags(rawValue: 8)
        /// The flight in the air is from the compressed ring.
        static let flightIsCompressed = Flags(rawValue: 16)

        /// Its place is lost and the snapshot that brings it back is on its way.
        static let held = Flags(rawValue: 32)

        /// Any of free, aloft, blocked and held: nothing can be delivered now.
        static let busy = Flags(rawValue: 1 | 2 | 4 | 32)
        static let compressedFlight = Flags(rawValue: 2 | 16)
    }

    let capacity: Int
    private let rows: UnsafeMutablePointer<Row>
    /// Rows below it have been used.
    private(set) var highWater = 0
    private(set) var count = 0
    private var free: [Int32] = []

    init(capacity: Int) {
        self.capacity = capacity
        unsafe rows = .allocate(capacity: capacity)
    }

    deinit { unsafe rows.deallocate() }

    @inline(__always)
    subscript(slot: Int) -> Row {
        unsafeAddress {
            assert(slot < highWater)
            return unsafe UnsafePointer(rows + slot)
        }
        unsafeMutableAddress {
            assert(slot < highWater)
            return unsafe rows + slot
        }
    }

    /// Nil when every row is taken.
    func claim(
        descriptor: Int32, classID: Int, cursor: UInt64, second: UInt32, flags: Flags
    ) -> Int? {
        guard let slot = free.popLast().map(Int.init) ?? grow() else { return nil }
        count += 1
        self[slot] = Row(
            cursor: cursor, descriptor: descriptor, classID: Int32(classID), lastHeard: second,
            generation: self[slot].generation, flags: flags)
        return slot
    }

    func release(_ slot: Int) {
        precondition(!self[slot].flags.contains(.free), "a row is released once")
        self[slot].flags = .free
        self[slot].generation = (self[slot].generation &+ 1) & 0xFF_FFFF
        free.append(Int32(slot))
        count -= 1
    }

    private func grow() -> Int? {
        guard highWater < capacity else { return nil }
        unsafe (rows + highWater).initialize(
            to: Row(
                cursor: 0, descriptor: -1, classID: 0, lastHeard: 0, generation: 0, flags: .free))
        highWater += 1
        return highWater - 1
    }
}
