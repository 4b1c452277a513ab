/// How long each step with an MCP server may take, and how much it may send.
struct UpstreamDeadlines: Sendable, Equatable {
    /// From nothing to a connection: TCP and TLS, or the start of a child.
    var connect: Duration = .seconds(10)
    /// `initialize`. First starts of Python servers take seconds.
    var handshake: Duration = .seconds(30)
    /// `server/discover`. Silence means a server of the handshake era where it is a child.
    var probe: Duration = .seconds(5)
    /// One page of a list.
    var list: Duration = .seconds(15)
    /// Each step of stopping a child: closed input, SIGTERM, SIGKILL.
    var stop: Duration = .seconds(2)
    /// Silence on the notification stream after which it is opened anew; servers send comments.
    var streamSilence: Duration = .seconds(300)
    /// First pause before a broken notification stream is opened again; doubles to a minute.
    var streamRetry: Duration = .seconds(1)

    /// How long a client may take to answer what a server asks in the middle of a call.
    var input: Duration = .seconds(300)

    /// Beyond it an answer is `tooLarge`.
    var messageBytesMax = 64 << 20
    /// Calls at one time; beyond it a call fails at once.
    var pendingMax = 1024
    /// Pages of one list; beyond it the rest is left out, and a notice says so.
    var pagesMax = 100
    /// Items of one list, as above.
    var itemsMax = 10_000
}
