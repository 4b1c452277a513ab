import OmniCore
import OmniIO

/// `POST /api/v1/mcp/servers/discover`: connects to a server that is not registered, lists what it
/// has, and lets go of it.
///
/// The URL comes with the request, so it is asked by a client of its own, which by default reaches
/// nothing but the public internet: `[MCP] DiscoverPrivate=yes` opens the own network.
struct Discovery {
    let io: any IO
    let http: HTTPClient
    let deadlines: UpstreamDeadlines
    let log: Log

    static let route = "Tries a server that is not registered, and says what it has".described
        .explained(
            "Nothing is registered. Addresses of private networks are refused unless the "
                + "configuration allows them."
        )
        .taking(
            .object(
                [
                    .required("url", .text(.visibleASCII, 1...500)),
                    .optional(
                        "protocol", .word(["http", "sse", "http-streamable", "http_streamable"])),
                    .optional("timeout_seconds", .integer(1...60)),
                    .optional(
                        "auth_type", .nullable(.word(["bearer", "api_key", "custom_headers"]))),
                    .optional("auth_config", .nullable(.map(.any))),
                ], isOpen: false)
        ).answering(
            .ok,
            .reply(
                .required("health_status", .shortText), .required("tools_count", .count),
                .required("prompts_count", .count), .required("resources_count", .count),
                .required("error", .nullable(.text(.free, 0...10_000)))))

    func run(_ configuration: ServerConfiguration, seconds: Int64) async -> JSONValue {
        let record = ServerRecord(
            id: 0, configuration: configuration, health: ServerHealth(), createdAt: 0,
            updatedAt: 0)
        let upstream = Upstream(
            record: record, io: io, http: http, deadlines: deadlines, log: log)
        let start = io.now
        let outcome: Result<Void, UpstreamError>
        do throws(UpstreamError) {
            try await upstream.connect(until: start + .seconds(seconds))
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        let found = Self.report(outcome, upstream.catalogue, took: io.now - start)
        await upstream.close(until: io.now + deadlines.stop)
        return found
    }

    private static func report(
        _ outcome: Result<Void, UpstreamError>, _ catalogue: UpstreamCatalogue, took: Duration
    ) -> JSONValue {
        var value: JSONValue = [
            "success": true, "health_status": "healthy",
            "response_time_ms": .int(took.milliseconds), "error": .null,
            "tools_count": JSONValue(catalogue.tools.count),
            "prompts_count": JSONValue(catalogue.prompts.count),
            "resources_count": JSONValue(catalogue.resources.count),
            "capabilities": [
                "tools": names(catalogue.tools), "prompts": names(catalogue.prompts),
                "resources": names(catalogue.resources),
            ],
        ]
        if case .failure(let error) = outcome {
            value["success"] = false
            value["health_status"] = "unhealthy"
            value["error"] = .string(error.description)
            value["capabilities"] = .null
        }
        return value
    }

    private static func names(_ items: [UpstreamCatalogue.Item]) -> JSONValue {
        JSONValue(items.map(\.name))
    }
}
