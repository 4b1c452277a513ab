/// What stands for a value in a synopsis, and so what completion offers for it.
enum Placeholder: Equatable {
    /// Words that are always the same.
    case words([String])
    /// Names that the daemon knows: see `NamesCommand`.
    case names(String)
    /// Tools of the server that was named before.
    case tools
    case file
    /// Only a person knows.
    case text

    init(_ name: String) {
        switch name {
        case "SERVER": self = .names("servers")
        case "USER": self = .names("users")
        case "ROLE": self = .names("roles")
        case "SECTION": self = .names("sections")
        case "TOOL": self = .tools
        case "FILE", "PATH", "CMD": self = .file
        case "SHELL": self = .words(ShellCompletion.shells)
        case "KIND": self = .words(NamesCommand.kinds)
        default: self = .text
        }
    }

    init(_ option: Option) {
        self = option.choices.isEmpty ? Placeholder(option.value ?? "") : .words(option.choices)
    }
}
