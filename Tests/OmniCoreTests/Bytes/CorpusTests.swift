import Glibc
import OmniCore
import Testing

/// The seeds of the fuzzers, and what they found, read in every cut: a finding stays a test even
/// where no fuzzer runs.
@Suite("Fuzz corpus")
struct CorpusTests {
    @Test func everySeedMeansTheSameInEveryCut() throws {
        for bytes in try corpus("http") {
            let whole = HTTPTranscript.read(bytes, cut: .whole)
            for cut in Cut.all { #expect(HTTPTranscript.read(bytes, cut: cut) == whole) }
        }
        for bytes in try corpus("websocket") {
            for allowsCompression in [false, true] {
                let session = WebSocketSession(allowsCompression: allowsCompression)
                let whole = WebSocketTranscript.read(bytes, cut: .whole, session: session)
                for cut in Cut.all {
                    let other = WebSocketTranscript.read(bytes, cut: cut, session: session)
                    #expect(other == whole)
                }
            }
        }
        for bytes in try corpus("event-stream") {
            let whole = EventStreamTranscript.read(bytes, cut: .whole)
            for cut in Cut.all { #expect(EventStreamTranscript.read(bytes, cut: cut) == whole) }
        }
    }

    private struct Missing: Error { let path: String }

    /// The files of one corpus folder, without the byte by which a fuzzer chooses its limits.
    private func corpus(_ name: String) throws -> [[UInt8]] {
        let tests = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let folder = "/\(tests)/Fuzz/corpus/\(name)"
        guard let directory = unsafe opendir(folder) else { throw Missing(path: folder) }
        defer { unsafe closedir(directory) }
        var files: [[UInt8]] = []
        while let entry = unsafe readdir(directory) {
            let file = unsafe withUnsafePointer(to: entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if !file.hasPrefix(".") { files.append(try contents("\(folder)/\(file)").dropLast()) }
        }
        #expect(files.count >= 3)
        return files
    }

    private func contents(_ path: String) throws -> [UInt8] {
        guard let file = unsafe fopen(path, "r") else { throw Missing(path: path) }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe fread($0.baseAddress, 1, $0.count, file)
        }
        return [UInt8](bytes[..<count])
    }
}
