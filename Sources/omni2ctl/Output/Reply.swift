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
    /// Of a reply that is no success.
    var failureStatus = ExitStatus.failure

    var exitStatus: Int32 { isSuccess ? ExitStatus.success : failureStatus }

    /// All has been said already.
    private var isSilent = false

    init(_ json: JSONValue, text: @escaping @Sendable (Style) -> String) {
        self.json = json
        self.text = text
    }

    /// One sentence; the daemon's reply is for scripts.
    init(_ json: JSONValue, _ sentence: String) {
        self.init(json) { _ in sentence + "\n" }
    }

    /// Of commands that printed as they went.
    static let nothing: Reply = {
        var reply = Reply(.null) { _ in "" }
        reply.isSilent = true
        return reply
    }()

    func show(_ options: CommonOptions, _ environment: Environment) {
        if isSilent { return }
        if options.isJSON { return Console.print(json.text + "\n") }
        let shown = text(Style(environment, isFull: options.isFull))
        if options.hasPager {
            Pager.show(shown, environment)
        } else {
            Console.print(shown)
        }
        if let remark { Console.error(remark + "\n") }
    }
}
