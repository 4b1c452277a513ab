/// What scripts act on.
enum ExitStatus {
    static let success: Int32 = 0
    /// The daemon refused, or what was asked for turned out badly.
    static let failure: Int32 = 1
    static let unreachable: Int32 = 2
    /// EX_USAGE.
    static let usage: Int32 = 64
    /// EX_NOPERM.
    static let denied: Int32 = 77
    /// EX_CONFIG: what `omni2-native --check` ends with.
    static let configuration: Int32 = 78

    static let meanings: [(status: Int32, text: String)] = [
        (success, "done"),
        (
            failure,
            "refused or failed: the daemon said no, or a server, a tool or the daemon is not well"
        ),
        (unreachable, "the daemon cannot be reached"),
        (usage, "wrong arguments"),
        (denied, "not allowed: a token is missing, unknown, or has no right to this"),
        (configuration, "config check: the configuration is wrong"),
    ]
}
