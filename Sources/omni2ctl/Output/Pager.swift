import OmniIO

/// Shows what is longer than the terminal by a pager: `$OMNI2_PAGER`, `$PAGER`, or less. An empty
/// variable or `cat` means none, as with systemd's programs.
enum Pager {
    static func show(_ text: String, _ environment: Environment) {
        guard Console.isOutputTerminal, let rows = Terminal.size?.rows,
            text.split(separator: "\n", omittingEmptySubsequences: false).count > rows,
            let words = program(environment)
        else { return Console.print(text) }
        var variables = environment.variables
        // Ends by itself at the end of a short text, passes colours, does not wrap, keeps the screen.
        if variables["LESS"] == nil { variables["LESS"] = "FRSXMK" }
        do throws(SystemError) {
            try Foreground.page(text, by: words, Environment(variables))
        } catch {
            // A text without a pager is better than a pager without a text.
            Console.print(text)
        }
    }

    private static func program(_ environment: Environment) -> [String]? {
        let variables = environment.variables
        let words = (variables["OMNI2_PAGER"] ?? variables["PAGER"] ?? "less")
            .split(separator: " ").map(String.init)
        return words.isEmpty || words == ["cat"] ? nil : words
    }
}
