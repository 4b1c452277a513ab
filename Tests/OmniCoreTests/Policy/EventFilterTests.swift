import OmniCore
import Testing

@Suite("EventFilter")
struct EventFilterTests {
    private func matches(_ filters: String, _ event: EventFacts) throws -> Bool {
        EventFilter(try JSONValue(parsing: filters)).matches(event)
    }

    private let change = EventFacts(
        type: "mcp_status_change", mcpName: "Git", severity: "high", oldStatus: "healthy",
        newStatus: "disconnected")
    private let breaker = EventFacts(
        type: "circuit_breaker_state", mcpName: "git", severity: "high", state: "half_open")

    static let statusFilters: [(String, Bool)] = [
        ("{}", true), ("null", true), ("[]", true), (#"{"unknown":["x"]}"#, true),
        (#"{"mcp_names":[]}"#, true), (#"{"mcp_names":["git"]}"#, true),
        (#"{"mcp_names":["GIT","other"]}"#, true), (#"{"mcp_names":["other"]}"#, false),
        (#"{"mcp_names":"git"}"#, true), (#"{"severity":["HIGH"]}"#, true),
        (#"{"severity":["info"]}"#, false), (#"{"old_status":"HEALTHY"}"#, true),
        (#"{"old_status":"loading"}"#, false), (#"{"old_status":""}"#, true),
        (#"{"new_status":"disconnected","mcp_names":["git"]}"#, true),
        (#"{"new_status":"healthy","mcp_names":["git"]}"#, false),
        // Lacking the field passes for lists …
        (#"{"state":["open"]}"#, true), (#"{"health_status":["healthy"]}"#, true),
        (#"{"user_roles":["admin"]}"#, true), (#"{"action_type":["enable_mcp"]}"#, true),
        // … and counts as 0 for the number.
        (#"{"failure_cycles":0}"#, true), (#"{"failure_cycles":1}"#, false),
    ]

    @Test(arguments: statusFilters)
    func statusChangesAreFiltered(_ filters: String, _ passes: Bool) throws {
        #expect(try matches(filters, change) == passes)
    }

    @Test func stateIsTheStateABreakerChangedTo() throws {
        #expect(try matches(#"{"state":["HALF_OPEN"]}"#, breaker))
        #expect(try !matches(#"{"state":["OPEN","CLOSED"]}"#, breaker))
        let data: JSONValue = ["mcp_name": "git", "old_state": "closed", "new_state": "open"]
        #expect(try matches(#"{"state":["open"]}"#, EventFacts(type: "x", data: data)))
        #expect(try !matches(#"{"state":["closed"]}"#, EventFacts(type: "x", data: data)))
    }

    @Test func exactFieldsFailWhereTheEventHasNone() throws {
        #expect(try !matches(#"{"old_status":"healthy"}"#, breaker))
        #expect(try !matches(#"{"new_status":"healthy"}"#, breaker))
    }

    @Test func failureCyclesAreAMinimum() throws {
        let event = EventFacts(type: "mcp_auto_disabled", failureCycles: 3)
        #expect(try matches(#"{"failure_cycles":3}"#, event))
        #expect(try matches(#"{"failure_cycles":"2"}"#, event))
        #expect(try !matches(#"{"failure_cycles":4}"#, event))
    }

    @Test func equalSubscriptionsAreEqualHoweverTheyAreWritten() throws {
        let left = EventSubscription(
            types: ["B", "a", "a"],
            filter: EventFilter(try JSONValue(parsing: #"{"severity":["HIGH","info"],"x":1}"#)))
        let right = EventSubscription(
            types: ["a", "b"],
            filter: EventFilter(try JSONValue(parsing: #"{"severity":["info","high","info"]}"#)))
        #expect(left == right)
        #expect(left.hashValue == right.hashValue)
    }

    @Test func theTypeMustBeListed() {
        #expect(EventSubscription(types: ["mcp_status_change"]).matches(change))
        #expect(!EventSubscription(types: []).matches(change))
        #expect(!EventSubscription(types: ["ping"]).matches(change))
    }
}

@Suite("FilterClass")
struct FilterClassTests {
    private let change = EventFacts(type: "mcp_status_change", mcpName: "git")
    private let all = EventSubscription(types: ["mcp_status_change"])

    @Test func oneOfSeveralSubscriptionsIsEnough() {
        let other = EventSubscription(types: ["user_login"])
        let members = FilterClass(subscriptions: [other, all], servers: .all)
        #expect(members.matches(change))
        #expect(!FilterClass(subscriptions: [other], servers: .all).matches(change))
        #expect(!FilterClass(subscriptions: [], servers: .all).matches(change))
    }

    @Test func serversARoleMayNotSeeAreSilent() {
        #expect(!FilterClass(subscriptions: [all], servers: .none).matches(change))
        #expect(FilterClass(subscriptions: [all], servers: .only(["git"])).matches(change))
        #expect(!FilterClass(subscriptions: [all], servers: .only(["Git"])).matches(change))
        let event = EventFacts(type: "health_event", audience: .everyone, mcpName: "git")
        #expect(!FilterClass(subscriptions: [], servers: .only(["db"])).matches(event))
        let metrics = EventFacts(type: "system_metrics", audience: .everyone)
        #expect(FilterClass(subscriptions: [], servers: .none).matches(metrics))
    }

    @Test func flowsReachTheirWatchersOnly() {
        let event = EventFacts(type: "tool_call", audience: .flow(user: 7))
        let watcher = FilterClass(
            subscriptions: [], servers: .all, flowUser: 7, isHubMember: false)
        #expect(watcher.matches(event))
        #expect(!watcher.matches(EventFacts(type: "x", audience: .flow(user: 8))))
        #expect(!watcher.matches(EventFacts(type: "ping", audience: .everyone)))
        #expect(!FilterClass(subscriptions: [all], servers: .all).matches(event))
    }
}

@Suite("EventCatalogue")
struct EventCatalogueTests {
    @Test func theMetadataHasTheOriginalsStructure() throws {
        let metadata = try JSONValue(parsing: EventCatalogue().metadata())
        let categories = try #require(metadata["categories"]?.array)
        #expect(categories.map { $0["id"]?.string } == ["mcp", "user", "system", "audit"])
        #expect(categories.map { $0["label"]?.string } == ["MCP", "USER", "SYSTEM", "AUDIT"])
        let events = try #require(categories[0]["events"]?.array)
        #expect(
            events.map { $0["id"]?.string } == [
                "mcp_status_change", "circuit_breaker_state", "mcp_health_check",
                "mcp_auto_disabled",
            ])
        for event in categories.flatMap({ $0["events"]?.array ?? [] }) {
            #expect(
                event.object?.names == [
                    "id", "label", "description", "icon", "severity_levels", "fields",
                ])
            for field in event["fields"]?.array ?? [] {
                #expect(field.object?.names == ["name", "label", "type", "options", "dynamic"])
            }
        }
    }

    @Test func everyOfferedStateCanMatch() throws {
        let entry = try #require(EventCatalogue().entry(for: .circuitBreakerState))
        let states = try #require(entry.fields.first { $0.name == "state" }?.options)
        #expect(states == ["closed", "open", "half_open", "disabled"])
        for state in states {
            let filter = EventFilter(["state": [.string(state.uppercased())]])
            #expect(filter.matches(EventFacts(type: "circuit_breaker_state", state: state)))
        }
    }

    @Test func severitiesAreTheOnesTheDashboardKnows() {
        for entry in EventCatalogue().entries {
            #expect(!entry.severities.isEmpty)
            for field in entry.fields where field.name == "severity" {
                #expect(field.options == entry.severities.map(\.rawValue))
            }
        }
    }
}

@Suite("HealthStatus")
struct HealthStatusTests {
    static let words: [(String, HealthStatus?)] = [
        ("healthy", .healthy), ("HEALTHY", .healthy), ("unhealthy", .disconnected),
        ("error", .disconnected), ("circuit_open", .circuitOpen), ("inactive", .disabled),
        ("not_loaded", .loading), ("", .unknown), ("purple", nil),
    ]

    @Test(arguments: words)
    func theOriginalsWordsAreRead(_ word: String, _ status: HealthStatus?) {
        #expect(HealthStatus(reading: word) == status)
    }

    @Test func everyWordWeWriteIsReadBack() {
        for status in HealthStatus.allCases {
            #expect(HealthStatus(reading: status.rawValue) == status)
        }
    }
}
