import OmniCore
import Testing

@Suite("AccessRules")
struct AccessRulesTests {
    private func role(
        _ servers: [String], _ restrictions: String = "{}", rate: Int? = 100, cost: Double? = 10
    ) -> AccessRules.Role {
        AccessRules.Role(
            name: "r", servers: servers, restrictions: restrictions, requestsPerHour: rate,
            costPerDay: cost, services: ["mcp"])
    }

    @Test(arguments: [
        (["*"], [[String]](), [String](), ["a", "b", "c"]),
        (["a", "b"], [], [], ["a", "b"]),
        (["*"], [["a"], ["b"]], [], ["a", "b"]),
        (["a", "c"], [["a"], ["b"]], [], ["a"]),
        (["a", "b"], [["*"]], [], ["a", "b"]),
        (["*"], [[]], [], []),
        (["*"], [], ["b"], ["a", "c"]),
        (["*"], [["a", "b"]], ["b"], ["a"]),
        (["*"], [], ["*"], []),
        ([], [["a"]], [], []),
    ])
    func serversAreRoleAndTeamsWithoutTheOverride(
        role servers: [String], teams: [[String]], override: [String], expected: [String]
    ) {
        let rules = AccessRules(
            role: role(servers), teams: teams.map { AccessRules.Team(servers: $0) },
            override: override.isEmpty ? nil : AccessRules.Override(servers: override))
        let seen = ["a", "b", "c"].filter { rules.permission.items.maySee(server: $0) }
        #expect(seen == expected)
    }

    @Test func restrictionsOfRoleAndOverrideBothHold() {
        let rules = AccessRules(
            role: role(["*"], #"{"a": ["x", "y"], "b": {"prompts": []}}"#),
            override: AccessRules.Override(
                restrictions: #"{"a": {"mode": "deny", "tools": ["y"]}, "c": []}"#))
        let items = rules.permission.items
        #expect(items.mayCall(tool: "x", on: "a"))
        #expect(!items.mayCall(tool: "y", on: "a"))
        #expect(!items.mayCall(tool: "z", on: "a"))
        #expect(items.mayCall(tool: "z", on: "b"))
        #expect(!items.mayGet(prompt: "p", on: "b"))
        #expect(!items.mayCall(tool: "z", on: "c"))
        #expect(items.mayCall(tool: "z", on: "d"))
    }

    @Test(arguments: ["{", #"{"a": 7}"#, "[1]", #""not json""#, #"{"a": {"mode": "maybe"}}"#])
    func whatNobodyUnderstandsAllowsNothing(text: String) {
        let rules = AccessRules(role: role(["*"], text))
        #expect(!rules.permission.items.mayCall(tool: "x", on: "a"))
        #expect(!rules.permission.items.mayRead(resource: "x", on: "b"))
        #expect(rules.unreadable == [text])
    }

    @Test func restrictionsMayComeAsATextInsideAText() {
        let rules = AccessRules(role: role(["*"], #"{\"a\": [\"x\"]}"#))
        #expect(!rules.permission.items.mayCall(tool: "x", on: "a"))
        let quoted = AccessRules(role: role(["*"], #"{"a": ["x"]}"#))
        #expect(quoted.permission.items.mayCall(tool: "x", on: "a"))
    }

    @Test func limitsAreTheSmallestAndTheUsersOwnRateReplacesThem() {
        var rules = AccessRules(
            role: role(["*"], rate: 100, cost: 10),
            teams: [
                AccessRules.Team(servers: ["*"], requestsPerHour: 50),
                AccessRules.Team(servers: ["*"], costPerDay: 4),
            ], override: AccessRules.Override(requestsPerHour: 70, costPerDay: 5))
        #expect(rules.permission.requestsPerHour == 50)
        #expect(rules.permission.costPerDay == 4)
        rules.rateOverride = 900
        #expect(rules.permission.requestsPerHour == 900)
    }

    @Test func onlySuperAdministratorsAndAdminDashboardsAdminister() {
        #expect(!AccessRules(role: role(["*"])).permission.isAdministrator)
        var admin = role([])
        admin.dashboard = "admin"
        #expect(AccessRules(role: admin).permission.isAdministrator)
        var root = role([])
        root.name = "super_admin"
        #expect(AccessRules(role: root).permission.isAdministrator)
        #expect(!AccessRules(role: root).permission.items.maySee(server: "a"))
    }

    @Test func servicesAreThoseNamedAndAllWhereNobodyHasSaid() {
        #expect(AccessRules(role: role(["*"])).permission.services == [.mcp])
        var silent = role(["*"])
        silent.services = nil
        #expect(AccessRules(role: silent).permission.services == [.mcp, .chat])
        silent.services = ["telepathy"]
        #expect(AccessRules(role: silent).permission.services == [])
    }

    @Test func eventsAboutPeopleAreForAdministratorsAlone() {
        let login = EventFacts(type: "user_login", data: ["user_id": 7])
        let tool = EventFacts(
            type: "cache_invalidated", data: ["mcp_name": "a", "tool": "x"])
        let viewer = AccessRules(
            role: AccessRules.Role(
                name: "v", servers: ["a"], restrictions: #"{"a": ["y"]}"#, dashboard: "view"))
        #expect(!viewer.permission.events.maySee(login))
        #expect(!viewer.permission.events.maySee(tool))
        #expect(EventAccess.everything.maySee(login))
        #expect(EventAccess.everything.maySee(tool))
        #expect(!EventAccess.nothing.maySee(EventFacts(type: "system_health", data: [:])))
    }
}

@Suite("FailureThrottle")
struct FailureThrottleTests {
    private func at(_ seconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: seconds * 1_000_000_000)
    }

    @Test func someFailuresAreFreeThenEachDoublesTheWait() {
        var throttle = FailureThrottle<String>(
            free: 2, first: .seconds(1), longest: .seconds(6), forgiveness: .seconds(1000))
        let waits = (0..<7).map { throttle.failed("a", at: at(10 + UInt64($0))) }
        #expect(waits == [0, 0, 1, 2, 4, 6, 6].map { .seconds($0) })
        #expect(throttle.wait("a", at: at(17)) == .seconds(5))
        #expect(throttle.wait("b", at: at(17)) == nil)
        throttle.succeeded("a")
        #expect(throttle.wait("a", at: at(17)) == nil)
    }

    @Test func failuresFadeWithTime() {
        var throttle = FailureThrottle<String>(free: 1, forgiveness: .seconds(60))
        #expect(throttle.failed("a", at: at(0)) == .zero)
        #expect(throttle.failed("a", at: at(1)) == .seconds(1))
        #expect(throttle.failed("a", at: at(1000)) == .zero)
    }

    @Test func keysAreBounded() {
        var throttle = FailureThrottle<Int>(free: 1, keysMax: 10)
        for key in 0..<100 { throttle.failed(key, at: at(UInt64(key))) }
        #expect(throttle.count <= 10)
        #expect(throttle.wait(99, at: at(99)) == nil)
    }
}

@Suite("Addresses")
struct AddressTests {
    @Test(
        arguments: [
            ([10, 1, 2, 3], [10, 0, 0, 0], 8, true), ([11, 1, 2, 3], [10, 0, 0, 0], 8, false),
            ([172, 31, 0, 1], [172, 16, 0, 0], 12, true),
            ([172, 32, 0, 1], [172, 16, 0, 0], 12, false),
            ([1, 2, 3, 4], [1, 2, 3, 4], 32, true), ([1, 2, 3, 5], [1, 2, 3, 4], 32, false),
            ([9, 9, 9, 9], [0, 0, 0, 0], 0, true),
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 1, 2, 3], [10, 0, 0, 0], 8, true),
        ] as [([UInt8], [UInt8], Int, Bool)])
    func rangesHoldTheirAddresses(
        address: [UInt8], network: [UInt8], bits: Int, isInside: Bool
    ) throws {
        let range = try #require(AddressRange(network, bits: bits))
        #expect(range.contains(address) == isInside)
    }

    @Test func aRangeHasNoMoreBitsThanItsAddress() {
        #expect(AddressRange([1, 2, 3, 4], bits: 33) == nil)
        #expect(AddressRange([1, 2, 3]) == nil)
    }

    @Test(
        arguments: [
            [127, 0, 0, 1], [10, 0, 0, 1], [192, 168, 1, 1], [169, 254, 169, 254], [0, 0, 0, 0],
            [100, 64, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 1],
            [0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1],
        ] as [[UInt8]])
    func whatIsNotTheInternetIsNotPublic(address: [UInt8]) {
        #expect(!PublicAddress.isPublic(address))
    }

    @Test(
        arguments: [
            [1, 1, 1, 1], [172, 15, 0, 1], [100, 128, 0, 1],
            [0x26, 0x06, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x11],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 8, 8, 8, 8],
        ] as [[UInt8]])
    func theInternetIsPublic(address: [UInt8]) { #expect(PublicAddress.isPublic(address)) }
}
