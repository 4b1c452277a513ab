/// The subscribers as a dense table of plain values: what the drain walks through.
///
/// No reference lies in a row, and two of them in a line of memory, so that a delivery touches one
/// line and counts nothing.
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
        /// Seconds on the hub's clock.
        var lastHeard: UInt32
        fileprivate(set) var classNumber: UInt16
        /// Since when the peer has not taken what there is, in seconds modulo 2^16, never 0; 0 while
        /// it does.
        fileprivate(set) var stallMark: UInt16 = 0
        /// Generation (24 bits) and flags.
        fileprivate var tag: UInt32

        /// There are fewer than 2^16 (`ClassMatches` has a maximum).
        var classID: Int {
            get { Int(classNumber) }
            set { classNumber = UInt16(newValue) }
        }

        /// Late completions name a former tenant of the row by an older one.
        var generation: UInt32 { tag >> 8 }

        var flags: Flags {
            get { Flags(rawValue: UInt8(truncatingIfNeeded: tag)) }
            set { tag = tag & ~0xFF | UInt32(newValue.rawValue) }
        }

        mutating func beginStall(at second: UInt32) {
            if stallMark == 0 { stallMark = max(1, UInt16(truncatingIfNeeded: second)) }
        }

        mutating func endStall() { stallMark = 0 }

        /// Seconds for which the peer has taken nothing; less than 2^16.
        func stalledTime(at second: UInt32) -> UInt32 {
            stallMark == 0 ? 0 : UInt32(UInt16(truncatingIfNeeded: second) &- stallMark)
        }
    }

    struct Flags: OptionSet {
        let rawValue: UInt8
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
            cursor: cursor, descriptor: descriptor, lastHeard: second,
            classNumber: UInt16(classID),
            tag: self[slot].generation << 8 | UInt32(flags.rawValue))
        return slot
    }

    func release(_ slot: Int) {
        precondition(!self[slot].flags.contains(.free), "a row is released once")
        let next = (self[slot].generation &+ 1) & 0xFF_FFFF
        self[slot].tag = next << 8 | UInt32(Flags.free.rawValue)
        free.append(Int32(slot))
        count -= 1
    }

    private func grow() -> Int? {
        guard highWater < capacity else { return nil }
        unsafe (rows + highWater).initialize(
            to: Row(
                cursor: 0, descriptor: -1, lastHeard: 0, classNumber: 0,
                tag: UInt32(Flags.free.rawValue)))
        highWater += 1
        return highWater - 1
    }
}
