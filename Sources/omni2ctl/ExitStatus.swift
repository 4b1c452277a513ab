/// What scripts act on.
enum ExitStatus {
    static let success: Int32 = 0
    /// The daemon refused, or what was asked for turned out badly.
    static let failure: Int32 = 1
    static let unreachable: Int32 = 2
    /// EX_USAGE.
    static let usage: Int32 = 64

    static let help = """
        0   done
        1   refused or failed: the daemon said no, or a server, a tool or a check is not well
        2   the daemon cannot be reached
        64  wrong arguments
        78  config check: the configuration is wrong
        """
}
