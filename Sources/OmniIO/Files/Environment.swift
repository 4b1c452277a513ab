internal import CShims.Systemd

/// The process's environment, read once at start and passed along as a value.
public struct Environment: Sendable, ExpressibleByDictionaryLiteral {
    public let variables: [String: String]

    public init(_ variables: [String: String]) { self.variables = variables }

    public init(dictionaryLiteral elements: (String, String)...) {
        variables = Dictionary(elements, uniquingKeysWith: { $1 })
    }

    /// A variable's text; an empty one counts as unset, as systemd has it.
    public subscript(name: String) -> String? {
        guard let text = variables[name], !text.isEmpty else { return nil }
        return text
    }

    public static func current() -> Environment {
        var variables: [String: String] = [:]
        // The array and its strings belong to the process and live until it changes them; nobody
        // does before `Main` has read them.
        guard var entry = unsafe omni2_environment() else { return Environment([:]) }
        while let text = unsafe entry.pointee {
            let line = unsafe String(cString: text)
            if let equals = line.utf8.firstIndex(of: UInt8(ascii: "=")) {
                variables[String(line[..<equals])] = String(line[line.index(after: equals)...])
            }
            unsafe entry += 1
        }
        return Environment(variables)
    }
}
