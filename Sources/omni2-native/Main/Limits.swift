import OmniIO

/// Every maximum of the daemon. Nothing is limited anywhere else.
///
/// A limit is either a setting (`standard(from:)` takes it from the configuration) or a decision
/// (its default is written here). At each one stands what happens there and who is told.
struct Limits: Sendable, Hashable {
    // MARK: Connections

    /// Connections at a time, of every kind. Beyond it accepting pauses and peers wait in the
    /// kernel's backlog; the journal says so once per minute (`connectionLimitReached`).
    var connectionsMax: Int
    /// WebSocket connections among them. Beyond it an upgrade is answered 503 with Retry-After.
    var subscribersMax: Int
    /// Peers that wait to be accepted, per listening socket; the kernel refuses more.
    var backlogMax = 4096
    /// Provided receive buffers of the ring, and the bytes of each. When all are lent out, receiving
    /// pauses until some are given back; nobody is told, nothing is lost.
    var receiveBuffersMax = 1024
    var receiveBufferBytes = 16 << 10
    /// Entries of the submission queue. A full queue is submitted at once and goes on: so many sends
    /// of a fan-out are one system call, few enough that the kernel's requests stay in its cache.
    var ringEntriesMax = 1024
    /// Jobs run in one turn before completions are looked at again.
    var jobsPerTurnMax = 512

    // MARK: HTTP

    /// A request head. A longer one is answered 431 and the connection closes.
    var headerBytesMax: Int
    /// Its first line's target. A longer one is answered 414 and the connection closes.
    var targetBytesMax = 8 << 10
    /// Header fields in a head. More are answered 431.
    var headerFieldsMax = 100
    /// A request body. A longer one is answered 413 and the connection closes.
    var bodyBytesMax: Int
    /// Bytes of bodies being received, all connections together. Beyond it 503 with Retry-After.
    var bodiesBytesMax = 256 << 20
    /// Requests of one connection that wait for their answer. Beyond it reading from it pauses.
    var pipelinedRequestsMax = 16
    /// Bytes queued for one connection that its peer has not taken. An event stream beyond it is
    /// closed; a response is produced no further until there is room.
    var sendQueueBytesMax = 8 << 20
    /// Send queues of all connections together. Beyond it new requests are answered 503.
    var sendQueuesBytesMax = 512 << 20
    var headerTimeout: Duration
    var bodyTimeout: Duration
    var idleTimeout: Duration
    /// A response whose peer takes nothing for so long is given up; the connection closes.
    var sendTimeout: Duration = .seconds(60)

    // MARK: WebSocket

    /// A message, its fragments together. A longer one closes the connection with 1009.
    var messageBytesMax: Int
    /// Messages that are being put together, all connections. Beyond it the next one closes its
    /// connection with 1013.
    var messagesBytesMax = 64 << 20
    /// The event log: bytes and events. The oldest go; whoever still wanted them has lagged.
    var eventLogBytesMax: Int
    var eventLogEventsMax: Int
    /// One event in the log. A larger one is not published; the journal says so.
    var eventBytesMax = 256 << 10
    /// Rings that serve subscribers, each with an event log of its own.
    var ringsMax = 1
    /// Subscriptions of one connection. More are refused in the reply.
    var subscriptionsPerConnectionMax = 64
    /// Different filters in the hub. More are refused in the reply.
    var filterClassesMax = 4096
    /// What the kernel may hold for one subscriber (`SO_SNDBUF`). A slow reader falls behind in
    /// the log instead of in the kernel's memory.
    var subscriberSendBufferBytes = 64 << 10

    // MARK: MCP

    /// Registered servers. More are refused by the API.
    var serversMax = 1000
    /// Tools, prompts and resources of one server. A longer list is cut; the journal says so.
    var itemsPerServerMax = 5000
    /// Pages of one listing. A server that never ends its list is cut off here.
    var pagesPerListMax = 100
    /// A message from a server. A longer one fails its call; the journal says so (`resultTooLarge`).
    var resultBytesMax: Int
    /// Answers being received, all servers. Beyond it new calls fail with `overloaded`.
    var resultsBytesMax = 512 << 20
    /// Calls in flight to one server. Beyond it calls wait, within their own deadline.
    var callsPerServerMax: Int
    /// Calls in flight to all servers. Beyond it calls fail with `overloaded` at once.
    var callsMax = 10_000
    /// MCP sessions of clients. Beyond it the one idle for longest ends and its client gets 404.
    var sessionsMax: Int
    /// Depth of JSON. Deeper text is a parse error.
    var jsonDepthMax = 128
    /// A line that a stdio server wrote to its standard error. A longer one is cut in the journal.
    var childLogLineBytesMax = 4 << 10

    // MARK: Cache

    /// Results. Beyond it the least recently used goes.
    var cacheEntriesMax: Int
    /// Bytes of results. Beyond it the least recently used go.
    var cacheBytesMax: Int
    /// One result. A longer one is not kept, and counted.
    var cacheValueBytesMax: Int
    /// Sibling processes attached at a time. More are refused by closing their connection.
    var cacheReadersMax = 256

    // MARK: Flows and database

    /// Flows in the making. Beyond it the oldest is saved as it is.
    var flowsMax = 10_000
    /// Checkpoints in one flow. More are counted, not kept.
    var checkpointsPerFlowMax = 256
    /// Statements that wait for a connection. Beyond it the caller gets `overloaded`.
    var statementsQueuedMax = 1024
    /// What waits on disk for the database. Beyond it the oldest goes; the journal says so
    /// (`spoolFull`).
    var spoolBytesMax: Int
    /// Rows of one answer of the API.
    var rowsPerPageMax = 1000

    // MARK: Journal

    /// Records that wait for journald. More are dropped and counted (`journalRecordsDropped`).
    var journalRecordsMax = 4096
    var journalBytesMax = 1 << 20
    /// Records of one service in one window (`journalRecordsSuppressed`).
    var journalRateRecordsMax: Int
    var journalRateWindow: Duration

    // MARK: -

    /// The limits that a configuration asks for.
    static func standard(from configuration: Configuration) -> Limits {
        var limits = Limits(
            connectionsMax: configuration.http.connectionsMax,
            subscribersMax: configuration.webSocket.connectionsMax,
            headerBytesMax: configuration.http.headerBytesMax,
            bodyBytesMax: configuration.http.bodyBytesMax,
            headerTimeout: configuration.http.headerTimeout,
            bodyTimeout: configuration.http.bodyTimeout,
            idleTimeout: configuration.http.idleTimeout,
            messageBytesMax: configuration.webSocket.messageBytesMax,
            eventLogBytesMax: configuration.webSocket.lagBytesMax,
            eventLogEventsMax: configuration.webSocket.lagEventsMax,
            resultBytesMax: configuration.mcp.resultBytesMax,
            callsPerServerMax: configuration.mcp.callsPerServerMax,
            sessionsMax: configuration.mcp.sessionsMax,
            cacheEntriesMax: configuration.cache.entriesMax,
            cacheBytesMax: configuration.cache.bytesMax,
            cacheValueBytesMax: configuration.cache.valueBytesMax,
            spoolBytesMax: configuration.database.spoolBytesMax,
            journalRateRecordsMax: configuration.log.rateRecordsMax,
            journalRateWindow: configuration.log.rateWindow)
        let shards = configuration.webSocket.shards
        limits.ringsMax = shards > 0 ? shards : min(Process.processorCount, 64)
        return limits
    }

    /// What each ring is made with.
    var ring: RingIO.Settings {
        var settings = RingIO.Settings()
        settings.entries = UInt32(ringEntriesMax)
        settings.buffersCount = receiveBuffersMax
        settings.bufferBytes = receiveBufferBytes
        return settings
    }

    /// So small that a test reaches every one of them.
    static let tiny: Limits = {
        var tiny = Limits(
            connectionsMax: 8, subscribersMax: 4, headerBytesMax: 1 << 10, bodyBytesMax: 4 << 10,
            headerTimeout: .milliseconds(200), bodyTimeout: .milliseconds(200),
            idleTimeout: .milliseconds(500), messageBytesMax: 1 << 10, eventLogBytesMax: 64 << 10,
            eventLogEventsMax: 16, resultBytesMax: 8 << 10, callsPerServerMax: 2, sessionsMax: 4,
            cacheEntriesMax: 4, cacheBytesMax: 1 << 20, cacheValueBytesMax: 1 << 10,
            spoolBytesMax: 64 << 10, journalRateRecordsMax: 10, journalRateWindow: .seconds(1))
        tiny.backlogMax = 8
        tiny.receiveBuffersMax = 8
        tiny.receiveBufferBytes = 512
        tiny.ringEntriesMax = 16
        tiny.jobsPerTurnMax = 4
        tiny.targetBytesMax = 256
        tiny.headerFieldsMax = 16
        tiny.bodiesBytesMax = 16 << 10
        tiny.pipelinedRequestsMax = 2
        tiny.sendQueueBytesMax = 16 << 10
        tiny.sendQueuesBytesMax = 64 << 10
        tiny.sendTimeout = .milliseconds(500)
        tiny.messagesBytesMax = 4 << 10
        tiny.eventBytesMax = 4 << 10
        tiny.subscriptionsPerConnectionMax = 2
        tiny.filterClassesMax = 4
        tiny.subscriberSendBufferBytes = 4 << 10
        tiny.serversMax = 4
        tiny.itemsPerServerMax = 8
        tiny.pagesPerListMax = 3
        tiny.resultsBytesMax = 32 << 10
        tiny.callsMax = 4
        tiny.jsonDepthMax = 8
        tiny.childLogLineBytesMax = 64
        tiny.cacheReadersMax = 2
        tiny.flowsMax = 4
        tiny.checkpointsPerFlowMax = 4
        tiny.statementsQueuedMax = 4
        tiny.rowsPerPageMax = 4
        tiny.journalRecordsMax = 8
        tiny.journalBytesMax = 4 << 10
        return tiny
    }()

    /// What all of this comes to at worst, addend by addend; the unit's `MemoryMax=` stands above.
    var memoryBudgetBytes: Int {
        let connectionBytes = 512  // table entry and parser state
        let sessionBytes = 2 << 10  // an MCP session of a client
        let toolBytes = 2 << 10  // name, description and schema of one item, on average
        let checkpointBytes = 128
        let cacheIndexBytes = 192  // descriptor, index, LRU and wheel of one entry
        return receiveBuffersMax * receiveBufferBytes
            + ringEntriesMax * (64 + 2 * 16)  // submission entries, twice as many completions
            + connectionsMax * (connectionBytes + headerBytesMax / 16)  // heads are rarely split
            + bodiesBytesMax
            + sendQueuesBytesMax
            + messagesBytesMax
            + ringsMax * (eventLogBytesMax + eventLogEventsMax * (16 + EventChronicle.bytesEach))
            + filterClassesMax * 256
            + serversMax * 64 * toolBytes  // 64 items on average
            + resultsBytesMax
            + sessionsMax * sessionBytes
            + cacheBytesMax + cacheEntriesMax * cacheIndexBytes
            + flowsMax * 16 * checkpointBytes  // 16 checkpoints on average
            + journalBytesMax
    }
}
