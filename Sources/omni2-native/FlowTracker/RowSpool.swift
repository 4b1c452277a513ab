import OmniCore
import OmniIO

/// Rows that wait on disk for the database: numbered files of lines, the oldest read first, the whole
/// bounded in bytes. Files are touched on the offload thread only, one operation at a time.
final class RowSpool {
    struct Segment {
        fileprivate let number: Int
        let rows: [HistoryRow]
    }

    private let io: any IO
    private let directory: String
    private let bytesMax: Int
    private static let segmentBytesMax = 1 << 20
    private static let ending = ".rows"
    /// Oldest first.
    private var segments: [(number: Int, bytes: Int)] = []
    private(set) var bytes = 0

    init(io: any IO, directory: String, bytesMax: Int) {
        self.io = io
        self.directory = directory
        self.bytesMax = bytesMax
    }

    var isEmpty: Bool { segments.isEmpty }

    /// Finds what an earlier run left.
    func open() async {
        let (directory, ending) = (directory, Self.ending)
        let found = await io.offload { () -> [(Int, Int)] in
            // A directory that cannot be read is found out by the first append.
            let names = (try? Files.names(in: directory)) ?? []
            return names.compactMap { name in
                guard name.hasSuffix(ending), let number = Int(name.dropLast(ending.count)) else {
                    return nil
                }
                return (number, Files.size("\(directory)/\(name)") ?? 0)
            }
        }
        segments = found.sorted { $0.0 < $1.0 }.map { (number: $0.0, bytes: $0.1) }
        bytes = segments.reduce(0) { $0 + $1.bytes }
    }

    /// Returns how many bytes of old rows had to go.
    func append(_ rows: [HistoryRow]) async throws(SystemError) -> Int {
        var pending: [UInt8] = []
        for row in rows {
            pending += row.line
            if pending.count >= Self.segmentBytesMax {
                try await write(pending)
                pending.removeAll(keepingCapacity: true)
            }
        }
        if !pending.isEmpty { try await write(pending) }
        return await makeRoom()
    }

    private func write(_ lines: [UInt8]) async throws(SystemError) {
        if (segments.last?.bytes ?? .max) >= Self.segmentBytesMax {
            segments.append((number: (segments.last?.number ?? 0) + 1, bytes: 0))
        }
        let (directory, path) = (directory, path(segments[segments.count - 1].number))
        let outcome = await io.offload { () -> Result<Void, SystemError> in
            do throws(SystemError) {
                try Files.makeDirectory(directory)
                try Files.append(path, lines, mode: 0o600)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try outcome.get()
        segments[segments.count - 1].bytes += lines.count
        bytes += lines.count
    }

    private func makeRoom() async -> Int {
        var gone = 0
        while bytes > bytesMax, segments.count > 1 {
            gone += segments[0].bytes
            await removeFirst()
        }
        return gone
    }

    /// Nil when nothing is left. A file that cannot be read any more is put aside.
    func oldest() async -> Segment? {
        while let first = segments.first {
            let path = path(first.number)
            let content = await io.offload { () -> [UInt8]? in
                try? Files.read(path, bytesMax: 1 << 30)
            }
            guard let content else {
                await removeFirst()
                continue
            }
            let rows = content.split(separator: UInt8(ascii: "\n")).compactMap {
                HistoryRow(line: Array($0))
            }
            return Segment(number: first.number, rows: rows)
        }
        return nil
    }

    func remove(_ segment: Segment) async {
        guard segments.first?.number == segment.number else { return }
        await removeFirst()
    }

    private func removeFirst() async {
        let first = segments.removeFirst()
        bytes -= first.bytes
        let path = path(first.number)
        // A file that stays is written once more after the next start, which does no harm.
        await io.offload { try? Files.remove(path) }
    }

    private func path(_ number: Int) -> String { "\(directory)/\(number)\(Self.ending)" }
}
