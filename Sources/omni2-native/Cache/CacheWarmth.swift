import OmniCore
import OmniIO

/// The calls behind the shared entries, so that those used most can be made again after a start.
///
/// Bounded twice: `countMax` calls are written at a planned stop, and four times as many are
/// remembered meanwhile, each of `argumentBytesMax` at most.
final class CacheWarmth {
    struct Call: Equatable {
        let server: String
        let tool: String
        /// A JSON object.
        let arguments: [UInt8]
    }

    private let path: String
    private let countMax: Int
    private let log: Log
    private var calls: [CacheKey: Call] = [:]
    /// In the order of their first fill, for making room.
    private var order: [CacheKey] = []

    private static let argumentBytesMax = 4096

    init(path: String, countMax: Int, log: Log) {
        self.path = path
        self.countMax = countMax
        self.log = log
    }

    func filled(_ key: CacheKey, _ call: Call) {
        guard call.arguments.count <= Self.argumentBytesMax,
            calls.updateValue(call, forKey: key) == nil
        else { return }
        order.append(key)
        guard order.count > countMax * 4 else { return }
        // A quarter at a time, so that making room costs little per fill.
        for key in order.prefix(countMax) { calls[key] = nil }
        order.removeFirst(countMax)
    }

    /// At a planned stop.
    func save(mostUsed entries: [CacheEntry]) {
        let chosen = entries.sorted { $0.hits > $1.hits }.lazy
            .compactMap { self.calls[$0.key] }.prefix(countMax)
        var json = JSONWriter()
        json.array { json in
            for call in chosen {
                json.object { json in
                    json.member("server", call.server)
                    json.member("tool", call.tool)
                    json.member("arguments", raw: call.arguments)
                }
            }
        }
        do throws(SystemError) {
            try Files.replace(path, json.take(), mode: 0o600)
        } catch {
            log.warning(
                "calls to warm the cache with cannot be kept, ignoring",
                fields: ["path": path, "error": error])
        }
    }

    /// What the last run left, the most used first. It is used once.
    func load() -> [Call] {
        let text: [UInt8]
        do throws(Files.ReadError) {
            text = try Files.read(path, bytesMax: countMax * (Self.argumentBytesMax + 1024))
        } catch {
            if !error.isNotFound {
                log.warning(
                    "calls to warm the cache with cannot be read, ignoring",
                    fields: ["path": path, "error": error.description])
            }
            return []
        }
        // A file that is no JSON was being written when the power failed: nothing to warm with.
        let value = (try? JSONValue(parsing: text)) ?? []
        return (value.array ?? []).prefix(countMax).compactMap { call in
            guard let server = call["server"]?.string, let tool = call["tool"]?.string,
                let arguments = call["arguments"], arguments.object != nil
            else { return nil }
            return Call(server: server, tool: tool, arguments: arguments.bytes)
        }
    }
}
