// In a package that depends on omni2-native's product Omni2Cache.
import Omni2Cache

let cache = try CacheReader()
if let value = try cache.get(server: "time", tool: "get_current_time", arguments: "{}") {
    print(String(decoding: value, as: UTF8.self))
} else {
    print("not in the cache: ask the daemon")
}
