internal import COmni2Cache

/// The 32 bytes that name a result.
public struct CacheReaderKey: Hashable, Sendable, CustomStringConvertible {
    public let bytes: [UInt8]

    /// The original's key of a call: what callers who share results agree on. `arguments` is any
    /// JSON text; throws if it is not JSON.
    public init(server: String, tool: String, arguments: String) throws(CacheReaderError) {
        var key = [UInt8](repeating: 0, count: 32)
        let result = unsafe omni2_cache_key(
            &key, server, tool, arguments, arguments.utf8.count)
        guard result == OMNI2_OK.rawValue else { throw CacheReaderError(code: result) }
        bytes = key
    }

    /// The native key; `scope` is "shared", "role:…" or "user:…".
    public init(
        scope: String, epoch: String, server: String, tool: String, arguments: String
    ) throws(CacheReaderError) {
        var key = [UInt8](repeating: 0, count: 32)
        let result = unsafe omni2_cache_key_native(
            &key, scope, epoch, server, tool, arguments, arguments.utf8.count)
        guard result == OMNI2_OK.rawValue else { throw CacheReaderError(code: result) }
        bytes = key
    }

    /// Nothing unless there are exactly 32 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// Lowercase hexadecimal.
    public var description: String {
        let digits = Array("0123456789abcdef".utf8)
        let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    func withBytes<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        unsafe bytes.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
    }
}
