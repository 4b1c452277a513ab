import OmniCore

/// What the registry says about caching one server's tools: `meta_data.omni2`.
///
///     {"cache_policy": "read_only", "ttl": 60, "scope": "shared",
///      "tools": {"slow_report": {"ttl": 3600}}}
///
/// `tools` names the tools of `listed`, as a list or as an object with rules of their own. Nothing
/// said means: nothing is cached.
struct CacheRules: Equatable {
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    private var general = CachePolicy.off
    private var perTool: [String: CachePolicy] = [:]

    static let none = CacheRules()

    private init() {}

    /// From the whole `meta_data` of a row. Text that is not understood is a problem and caches
    /// nothing: a guess could show one person another's answer.
    init(metaData: String) throws(Problem) {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: metaData)
        } catch {
            throw Problem(description: "meta_data is not JSON: \(error)")
        }
        try self.init(value["omni2"])
    }

    init(_ options: JSONValue?) throws(Problem) {
        guard let options, !options.isNull else { return }
        guard options.object != nil else {
            throw Problem(description: "omni2 must be an object")
        }
        general = try Self.policy(options, over: .off)
        try readTools(options["tools"])
    }

    func policy(for tool: String) -> CachePolicy { perTool[tool] ?? general }

    private mutating func readTools(_ tools: JSONValue?) throws(Problem) {
        guard let tools, !tools.isNull else { return }
        if let names = tools.strings {
            general.tools = Set(names)
            return
        }
        guard let object = tools.object else {
            throw Problem(description: "omni2.tools must be a list of names or an object")
        }
        general.tools = Set(object.names)
        for (name, value) in object.members {
            perTool[name] = try Self.policy(value, over: general)
        }
    }

    private static func policy(
        _ options: JSONValue, over base: CachePolicy
    ) throws(Problem) -> CachePolicy {
        var policy = base
        if let word = options["cache_policy"] {
            guard let text = word.string, let mode = CachePolicy.Mode(rawValue: text) else {
                throw Problem(
                    description: "omni2.cache_policy must be off, listed or read_only, not \(word)")
            }
            policy.mode = mode
        }
        if let word = options["scope"] {
            guard let text = word.string, let sharing = CachePolicy.Sharing(rawValue: text) else {
                throw Problem(
                    description: "omni2.scope must be shared, role or user, not \(word)")
            }
            policy.sharing = sharing
        }
        if let ttl = options["ttl"] { policy.timeToLive = try time(ttl) }
        if let overrides = options["override_annotations"] {
            guard let flag = overrides.bool else {
                throw Problem(description: "omni2.override_annotations must be true or false")
            }
            policy.overridesVeto = flag
        }
        return policy
    }

    /// Seconds as a number, or a time span such as "5min".
    private static func time(_ value: JSONValue) throws(Problem) -> Duration {
        if let seconds = value.double, seconds > 0, seconds <= 31_557_600 {
            return .nanoseconds(Int64(seconds * 1e9))
        }
        if let text = value.string, let span = ConfigurationText.timeSpan(text), span > .zero {
            return span
        }
        throw Problem(
            description: "omni2.ttl must be seconds or a time span such as 5min, not \(value)")
    }
}
