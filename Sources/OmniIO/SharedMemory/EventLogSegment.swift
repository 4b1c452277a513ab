internal import CShims.Linux
internal import Glibc

/// The memory of an event log as one memfd, kept by systemd from the first moment on: also a process
/// that is killed leaves it to its successor.
///
///     one page of words | frames, a ring of bytes | notes, another one
///
/// Both rings are mapped twice in a row. What is in them is the owner's; the words say how far they
/// are filled, and are written in an order that holds at every instant.
@safe
public final class EventLogSegment {
    /// Places in the first page.
    public enum Word: Int, Sendable, CaseIterable {
        case magic
        case version
        /// Drawn when the segment was made: numbers of events count within it.
        case epoch
        case frameBytes
        case noteBytes
        /// The oldest event whose frame is whole.
        case oldest
        /// From where to where notes stand, counted over the life of the segment.
        case notesStart
        case notesEnd
    }

    public static let version: UInt64 = 1
    private static let magic: UInt64 = 0x474F_4C32_494E_4D4F  // OMNI2LOG
    private static let headerBytes = 4096
    /// More than any configuration allows: a foreign file must not make us map the world.
    private static let bytesMax = 1 << 40

    public let descriptor: Int32
    public let frames: MirroredMemory
    public let notes: MirroredMemory
    // Mapped in `init`, unmapped in `deinit`, one page.
    private let header: UnsafeMutableRawPointer

    public enum Failure: Error, CustomStringConvertible {
        /// Another program's, or another version's.
        case foreign
        case system(SystemError)

        public var description: String {
            switch self {
            case .foreign: "it is not an event log of this version"
            case .system(let error): error.description
            }
        }
    }

    /// Sizes are rounded up to whole pages.
    public init(frameBytes: Int, noteBytes: Int, epoch: UInt64) throws(SystemError) {
        let page = sysconf(Int32(_SC_PAGESIZE))
        let frameBytes = (max(frameBytes, 1) + page - 1) / page * page
        let noteBytes = (max(noteBytes, 1) + page - 1) / page * page
        let raw = unsafe omni2_anonymous_file("omni2-events")
        guard raw >= 0 else { throw SystemError("memfd_create", raw) }
        let file = Descriptor(raw)
        guard ftruncate(raw, Self.headerBytes + frameBytes + noteBytes) == 0 else {
            throw SystemError("ftruncate", errno)
        }
        unsafe (frames, notes, header) = unsafe try Self.map(raw, frameBytes, noteBytes)
        descriptor = file.take()
        self[.frameBytes] = UInt64(frameBytes)
        self[.noteBytes] = UInt64(noteBytes)
        self[.epoch] = epoch
        self[.version] = Self.version
        self[.magic] = Self.magic
    }

    /// What a predecessor left; owns `descriptor` from now on, also when it throws.
    public init(adopting descriptor: Int32) throws(Failure) {
        let file = Descriptor(descriptor)
        var words = [UInt64](repeating: 0, count: Word.allCases.count)
        let read = unsafe words.withUnsafeMutableBytes {
            unsafe omni2_read_at(descriptor, $0.baseAddress, $0.count, 0)
        }
        func word(_ word: Word) -> UInt64 { words[word.rawValue] }
        guard read == words.count * 8, word(.magic) == Self.magic, word(.version) == Self.version,
            word(.frameBytes) <= UInt64(Self.bytesMax), word(.noteBytes) <= UInt64(Self.bytesMax)
        else { throw .foreign }
        let (frameBytes, noteBytes) = (Int(word(.frameBytes)), Int(word(.noteBytes)))
        guard frameBytes > 0, noteBytes > 0, frameBytes % Self.headerBytes == 0,
            noteBytes % Self.headerBytes == 0,
            omni2_descriptor_size(descriptor)
                == Int64(Self.headerBytes + frameBytes + noteBytes)
        else { throw .foreign }
        do throws(SystemError) {
            unsafe (frames, notes, header) = unsafe try Self.map(descriptor, frameBytes, noteBytes)
        } catch {
            throw .system(error)
        }
        self.descriptor = file.take()
    }

    deinit {
        unsafe munmap(header, Self.headerBytes)
        close(descriptor)
    }

    public subscript(word: Word) -> UInt64 {
        get { unsafe omni2_load_word(header + word.rawValue * 8) }
        set { unsafe omni2_store_word(header + word.rawValue * 8, newValue) }
    }

    private static func map(
        _ descriptor: Int32, _ frameBytes: Int, _ noteBytes: Int
    ) throws(SystemError) -> (MirroredMemory, MirroredMemory, UnsafeMutableRawPointer) {
        let frames = try MirroredMemory(
            descriptor: StateFile.duplicate(descriptor), offset: headerBytes, byteCount: frameBytes)
        let notes = try MirroredMemory(
            descriptor: StateFile.duplicate(descriptor), offset: headerBytes + frameBytes,
            byteCount: noteBytes)
        let page = unsafe mmap(
            nil, headerBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let page = unsafe page, unsafe page != MAP_FAILED else {
            throw SystemError("mmap", errno)
        }
        return unsafe (frames, notes, page)
    }
}
