import OmniCore

/// Every family at `/metrics`, in the order of its text. `docs/telemetry.md` has the same table; a
/// test compares them, and that each is there with its type when scraped.
enum MetricFamilies {
    // MARK: HTTP

    static let httpRequests = MetricFamily(
        "omni2_http_requests", .counter, "HTTP requests answered.",
        labels: ["method", "route", "status"])
    static let httpDuration = MetricFamily(
        "omni2_http_request_duration_seconds", .histogram,
        "From the whole request to its answer; streams until they end.",
        labels: ["method", "route", "status"])
    static let httpResponseSize = MetricFamily(
        "omni2_http_response_size_bytes", .gauge, "Body of the last answer.",
        labels: ["method", "route"])
    static let httpConnections = MetricFamily(
        "omni2_http_connections", .gauge, "Open connections, WebSockets included.")

    // MARK: Tools and sessions

    static let toolExecutions = MetricFamily(
        "omni2_mcp_tool_executions", .counter, "Tool calls answered.",
        labels: ["tool_name", "status"])
    static let toolDuration = MetricFamily(
        "omni2_mcp_tool_execution_duration_seconds", .histogram,
        "Tool calls from acceptance to answer, cached ones included.", labels: ["tool_name"])
    static let toolsCoalesced = MetricFamily(
        "omni2_mcp_tool_coalesced", .counter,
        "Tool calls that waited for an identical one instead of being sent.")
    static let sessions = MetricFamily("omni2_active_sessions", .gauge, "MCP sessions open.")

    // MARK: Upstreams

    static let upstreamRequests = MetricFamily(
        "omni2_upstream_requests", .counter, "Requests to MCP servers.",
        labels: ["mcp", "method", "status"])
    static let upstreamDuration = MetricFamily(
        "omni2_upstream_request_duration_seconds", .histogram,
        "Requests to MCP servers, from sending to answer.", labels: ["mcp", "method"])
    static let upstreamErrors = MetricFamily(
        "omni2_upstream_errors", .counter, "Requests to MCP servers without a result.",
        labels: ["mcp", "method", "error_type"])
    static let circuitState = MetricFamily(
        "omni2_circuit_breaker_state", .gauge,
        "0 closed, 1 open, 2 half open, 3 disabled.", labels: ["mcp"])
    static let circuitFailures = MetricFamily(
        "omni2_circuit_breaker_failures", .counter, "Times a circuit opened.", labels: ["mcp"])
    static let circuitRefusals = MetricFamily(
        "omni2_circuit_breaker_refusals", .counter, "Calls refused by an open circuit.")
    static let servers = MetricFamily(
        "omni2_mcp_servers", .gauge, "Registered, active MCP servers by health.",
        labels: ["status"])
    static let serverUp = MetricFamily(
        "omni2_mcp_server_up", .gauge, "1 while the server is connected and healthy.",
        labels: ["mcp"])
    static let serverLatency = MetricFamily(
        "omni2_mcp_server_check_seconds", .gauge, "What the last health check took.",
        labels: ["mcp"])

    // MARK: Cache

    static let cacheSize = MetricFamily("omni2_cache_size", .gauge, "Cached tool results.")
    static let cacheCapacity = MetricFamily(
        "omni2_cache_capacity", .gauge, "Cached tool results at most.")
    static let cacheBytes = MetricFamily(
        "omni2_cache_bytes", .gauge, "Bytes of cached tool results.")
    static let cacheHits = MetricFamily("omni2_cache_hits", .counter, "Calls answered from cache.")
    static let cacheMisses = MetricFamily(
        "omni2_cache_misses", .counter, "Cacheable calls that were not there.")
    static let cacheEvictions = MetricFamily(
        "omni2_cache_evictions", .counter, "Results that made room for others.")
    static let cacheExpirations = MetricFamily(
        "omni2_cache_expirations", .counter, "Results that became too old.")
    static let cacheInvalidations = MetricFamily(
        "omni2_cache_invalidations", .counter, "Results removed by order or change.")
    static let cacheSiblingReads = MetricFamily(
        "omni2_cache_sibling_hits", .counter, "Hits of processes that map the cache.")

    // MARK: Dashboards

    static let webSocketConnections = MetricFamily(
        "omni2_ws_connections", .gauge, "Subscribers connected.")
    static let webSocketPublished = MetricFamily(
        "omni2_ws_events_published", .counter, "Events put into the log.")
    static let webSocketFrames = MetricFamily(
        "omni2_ws_frames_sent", .counter, "Events handed to the kernel for a subscriber.")
    static let webSocketSends = MetricFamily(
        "omni2_ws_sends", .counter, "Send operations for them: fewer is better.")
    static let webSocketDropped = MetricFamily(
        "omni2_ws_dropped", .counter, "Subscribers closed because they took nothing.")
    static let webSocketResyncs = MetricFamily(
        "omni2_ws_resyncs", .counter, "Subscribers that fell behind the log and got a snapshot.")
    static let webSocketResumed = MetricFamily(
        "omni2_ws_resumed", .counter, "Subscribers that went on where they had been.")
    static let webSocketLag = MetricFamily(
        "omni2_ws_lag_events", .gauge, "How far the slowest subscriber is behind.")
    static let fanoutDuration = MetricFamily(
        "omni2_ws_fanout_seconds", .histogram, "One pass over all subscribers that are behind.")

    // MARK: The loop and the process

    static let turnDuration = MetricFamily(
        "omni2_ring_turn_seconds", .histogram, "Work of one turn of the ring, without its wait.")
    static let reactorLag = MetricFamily(
        "omni2_reactor_lag_seconds", .summary,
        "How long something that became ready had to wait for the turn before, last 1024 turns.")
    static let completions = MetricFamily(
        "omni2_ring_completions", .counter, "Completions taken from the ring.")
    static let submissions = MetricFamily(
        "omni2_ring_submissions", .counter, "Operations given to the ring.")
    static let enters = MetricFamily(
        "omni2_ring_enters", .counter, "System calls that did both.")
    static let inFlight = MetricFamily(
        "omni2_io_uring_inflight", .gauge, "Operations awaited by services now.")
    static let journalDropped = MetricFamily(
        "omni2_journal_dropped", .counter, "Records that journald did not take in time.")
    static let databaseUp = MetricFamily("omni2_database_up", .gauge, "1 while connected.")
    static let databaseStatements = MetricFamily(
        "omni2_database_statement_seconds", .histogram, "Statements of the store, by outcome.",
        labels: ["outcome"])

    // MARK: Redis, flows, questions

    static let redisUp = MetricFamily(
        "omni2_redis_up", .gauge, "1 while connected; nothing where no Redis is configured.")
    static let redisConnects = MetricFamily(
        "omni2_redis_connects", .counter, "Connections to Redis that were made.")
    static let redisCommands = MetricFamily(
        "omni2_redis_commands", .counter, "Commands sent, and those nobody was there for.",
        labels: ["outcome"])
    static let clusterEvents = MetricFamily(
        "omni2_cluster_events", .counter, "Events that went to other hosts, or came from them.",
        labels: ["direction"])
    static let flows = MetricFamily("omni2_flows", .counter, "Flows begun.")
    static let flowsOpen = MetricFamily("omni2_flows_open", .gauge, "Flows under way.")
    static let checkpoints = MetricFamily(
        "omni2_flow_checkpoints", .counter, "Checkpoints noted.")
    static let historyRows = MetricFamily(
        "omni2_history_rows", .counter, "Rows of flows and audit trail, by where they went.",
        labels: ["outcome"])
    static let spoolBytes = MetricFamily(
        "omni2_history_spool_bytes", .gauge, "What waits on disk for the database.")
    static let questions = MetricFamily(
        "omni2_chat_questions", .counter, "Questions to the language model.", labels: ["outcome"])
    static let questionTokens = MetricFamily(
        "omni2_chat_tokens", .counter, "Tokens of the language model.", labels: ["type"])
    static let questionCost = MetricFamily(
        "omni2_chat_cost_dollars", .counter, "What the language model cost.")

    // MARK: Export, the process

    static let spansExported = MetricFamily(
        "omni2_telemetry_exported", .counter, "Items a collector accepted.", labels: ["signal"])
    static let spansDropped = MetricFamily(
        "omni2_telemetry_dropped", .counter, "Items no collector took in time.",
        labels: ["signal"])
    static let build = MetricFamily(
        "omni2_build_info", .gauge, "Always 1; the version is the label.", labels: ["version"])

    static let processCPU = MetricFamily(
        "process_cpu_seconds", .counter, "Processor time, user and system.")
    static let processResident = MetricFamily(
        "process_resident_memory_bytes", .gauge, "Resident memory.")
    static let processVirtual = MetricFamily(
        "process_virtual_memory_bytes", .gauge, "Address space.")
    static let processShared = MetricFamily(
        "omni2_process_shared_memory_bytes", .gauge,
        "Resident memory that others may share: the cache's segment.")
    static let processDescriptors = MetricFamily(
        "process_open_fds", .gauge, "Open descriptors.")
    static let processDescriptorsMax = MetricFamily(
        "process_max_fds", .gauge, "Descriptors at most.")
    static let processStart = MetricFamily(
        "process_start_time_seconds", .gauge, "Start, in seconds since 1970.")
    static let processThreads = MetricFamily("process_threads", .gauge, "Threads.")

    static let all: [MetricFamily] = [
        httpRequests, httpDuration, httpResponseSize, httpConnections,
        toolExecutions, toolDuration, toolsCoalesced, sessions,
        upstreamRequests, upstreamDuration, upstreamErrors, circuitState, circuitFailures,
        circuitRefusals, servers, serverUp, serverLatency,
        cacheSize, cacheCapacity, cacheBytes, cacheHits, cacheMisses, cacheEvictions,
        cacheExpirations, cacheInvalidations, cacheSiblingReads,
        webSocketConnections, webSocketPublished, webSocketFrames, webSocketSends,
        webSocketDropped, webSocketResyncs, webSocketResumed, webSocketLag, fanoutDuration,
        turnDuration, reactorLag, completions, submissions, enters, inFlight, journalDropped,
        databaseUp, databaseStatements,
        redisUp, redisConnects, redisCommands, clusterEvents, flows, flowsOpen, checkpoints,
        historyRows, spoolBytes, questions, questionTokens, questionCost,
        spansExported, spansDropped, build,
        processCPU, processResident, processVirtual, processShared, processDescriptors,
        processDescriptorsMax, processStart, processThreads,
    ]
}
