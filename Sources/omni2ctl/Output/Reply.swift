import OmniCore
import OmniIO

/// What a command found: for scripts, and for a person.
struct Reply: Sendable {
    let json: JSONValue
    let text: @Sendable (Style) -> String
    /// A remark beside the text, on standard error: scripts that read the text are not disturbed.
    var remark: String?
    /// Whether things are as they should be; decides the exit status.
    var isSuccess = true

    init(_ json: JSONValue, text: @escaping @Sendable (Style) -> String) {
        self.json = json
        self.text = text
    }

    /// One sentence; the daemon's reply is for scripts.
    init(_ json: JSONValue, _ sentence: String) {
        self.init(json) { _ in sentence + "\n" }
    }

    func show(isJSON: Bool, _ environment: Environment) {
        if isJSON { return Console.print(json.text + "\n") }
        Console.print(text(Style(environment)))
        if let remark { Console.error(remark + "\n") }
    }
}
