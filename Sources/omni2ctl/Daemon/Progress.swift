import OmniCore
import OmniIO

/// What takes its time says so on a terminal: one line on standard error, which goes away with the
/// answer. Work that is done within a second shows nothing.
final class Progress {
    private static let patience = Duration.seconds(1)
    private static let pace = Duration.milliseconds(200)
    private static let signs = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]

    private let io: any IO
    private let isShown: Bool
    private let began: MonotonicTime
    private var what = "waiting for the daemon"
    private var isDrawn = false
    private var hasEnded = false

    init(io: any IO, isShown: Bool, _ environment: Environment) {
        self.io = io
        self.isShown = isShown && Console.isTerminal && environment["TERM"] != "dumb"
        began = io.now
        if self.isShown { io.spawn { await self.run() } }
    }

    /// What is being done now, such as `checking docs (2 of 5)`.
    func doing(_ what: String) { self.what = what }

    func end() {
        hasEnded = true
        if isDrawn { Console.error("\r\u{1B}[K") }
        isDrawn = false
    }

    private func run() async {
        await io.sleep(until: began + Self.patience)
        var step = 0
        while !hasEnded {
            let seconds = (io.now - began).components.seconds
            let width = (Terminal.size?.columns ?? 80) - 1
            let line = "\(Self.signs[step % Self.signs.count]) \(what), \(seconds) s"
            Console.error("\r\(Words.cut(line, to: width))\u{1B}[K")
            isDrawn = true
            step += 1
            await io.sleep(until: io.now + Self.pace)
        }
    }
}
