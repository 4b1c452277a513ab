import OmniCore
import OmniIO

/// A picture on the terminal that is drawn anew in its place, as top does it, until a person presses
/// q or Ctrl-C. The screen that was there before comes back at the end.
final class Screen {
    private let io: any IO
    private let keys: TerminalKeys?
    private var isOpen = false
    /// Woken by a key that ends it, or by who has news.
    private var ticket: WaitTicket?
    private(set) var hasEnded = false

    /// - Throws: where there is no terminal to draw on.
    init(_ client: Client, _ command: Command) throws(Failure) {
        guard Console.isOutputTerminal, client.environment["TERM"] != "dumb" else {
            throw .usage(
                "--top draws on a terminal, and there is none; leave it out, or add --json for one "
                    + "line each time")
        }
        io = client.io
        keys = TerminalKeys()
    }

    /// Draws until the end: anew after `pace`, and when `news` was called.
    func run(
        every pace: Duration, _ picture: () async throws(Failure) -> String
    ) async throws(Failure) {
        Console.print("\u{1B}[?1049h\u{1B}[?25l")
        isOpen = true
        defer { leave() }
        if keys != nil { io.spawn { await self.readKeys() } }
        while !hasEnded {
            draw(try await picture())
            let ticket = io.makeTicket()
            self.ticket = ticket
            _ = await io.wait(for: ticket, until: io.now + pace)
            self.ticket = nil
        }
    }

    /// What is shown has changed.
    func news() {
        if let ticket { io.wake(ticket) }
    }

    /// The terminal as it was. Called by the end of the command, too, whatever ends it.
    func leave() {
        guard isOpen else { return }
        isOpen = false
        hasEnded = true
        keys?.giveBack()
        Console.print("\u{1B}[?25h\u{1B}[?1049l")
    }

    /// Lines that do not fit are left out, and what was there before is wiped: no flicker.
    private func draw(_ text: String) {
        let rows = Terminal.size?.rows ?? 24
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).prefix(rows - 1)
        var drawn = "\u{1B}[H"
        for line in lines { drawn += line + "\u{1B}[K\r\n" }
        Console.print(drawn + "\u{1B}[J")
    }

    private func readKeys() async {
        while !hasEnded {
            do throws(SystemError) {
                _ = try await io.readiness(
                    of: TerminalKeys.descriptor, .readable, until: .distantFuture)
            } catch {
                return
            }
            // A terminal that went away is readable and has no keys.
            guard let key = keys?.next(), key != UInt8(ascii: "q") else {
                hasEnded = true
                return news()
            }
        }
    }
}
