import OmniCore
import Testing

@Suite("ToolName")
struct ToolNameTests {
    typealias Origin = NameTable.Origin

    private func isValid(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 64
            && name.utf8.allSatisfy { byte in
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                    || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                    || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || byte == UInt8(ascii: "_")
                    || byte == UInt8(ascii: "-")
            }
    }

    @Test func ordinaryNamesAreJoined() {
        #expect(ToolName.plain(server: "git", tool: "git_log") == "git__git_log")
        #expect(ToolName.isExact(server: "git", tool: "git_log"))
        #expect(ToolName.plain(server: "my db", tool: "q.é") == "my_db__q__")
        #expect(!ToolName.isExact(server: "my db", tool: "q"))
    }

    @Test func sixtyFourCharactersFitAndSixtyFiveAreShortened() {
        let fits = ToolName.plain(server: "s", tool: String(repeating: "t", count: 61))
        #expect(fits.utf8.count == 64)
        #expect(fits == "s__" + String(repeating: "t", count: 61))
        let long = ToolName.plain(server: "s", tool: String(repeating: "t", count: 62))
        #expect(long.utf8.count == 64)
        #expect(long.hasPrefix("s__tttt"))
        #expect(isValid(long))
    }

    @Test func shortenedNamesAreStable() {
        // Written down: a change would rename tools under running agents.
        #expect(
            ToolName.plain(
                server: "a-very-long-server-name-of-a-company",
                tool: "and_a_tool_with_a_very_long_name_indeed_v1")
                == "a-very-long-server-name-of-a-company__and_a_tool_with_xif2ifkqu5")
    }

    @Test func theTableLeadsBack() {
        let table = NameTable([
            Origin(server: "my db", name: "run query"), Origin(server: "git", name: "log"),
        ])
        #expect(table.origin(of: "my_db__run_query") == Origin(server: "my db", name: "run query"))
        #expect(table.origin(of: "git__log") == Origin(server: "git", name: "log"))
        #expect(table.origin(of: "git__nothing") == nil)
        #expect(table.name(of: Origin(server: "git", name: "log")) == "git__log")
    }

    @Test func collidingNamesAllStayReachable() {
        let origins = [
            Origin(server: "a", name: "b__c"), Origin(server: "a__b", name: "c"),
            Origin(server: "x", name: "a.b"), Origin(server: "x", name: "a_b"),
            Origin(server: "x", name: "a b"), Origin(server: "a_", name: "b"),
            Origin(server: "a", name: "_b"),
        ]
        let table = NameTable(origins)
        #expect(table.count == origins.count)
        #expect(table.name(of: Origin(server: "x", name: "a_b")) == "x__a_b")
        #expect(table.name(of: Origin(server: "a", name: "b__c")) == "a__b__c")
        for origin in origins {
            let name = table.name(of: origin)!
            #expect(isValid(name))
            #expect(table.origin(of: name) == origin)
        }
    }

    @Test(arguments: testSeeds) func namesDependOnTheSetAndNotOnTheOrder(_ seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let alphabet = Array("ab_.é-")
        func text(_ range: Range<Int>) -> String {
            String(
                (0..<Int.random(in: range, using: &random)).map { _ in
                    alphabet.randomElement(using: &random)!
                })
        }
        let origins = Set(
            (0..<300).map { _ in Origin(server: text(1..<4), name: text(0..<70)) })
        let table = NameTable(origins.shuffled(using: &random))
        let other = NameTable(origins.shuffled(using: &random))
        #expect(table.count == origins.count)
        for origin in origins {
            let name = table.name(of: origin)
            #expect(name == other.name(of: origin), "seed \(seed)")
            #expect(name.map(isValid) == true, "seed \(seed): \(origin)")
            #expect(name.flatMap(table.origin) == origin)
        }
    }

    @Test func resourcesAreFoundByTheLongestPrefix() {
        let servers = ["a", "a__b", "files"]
        #expect(ResourceName.prefixed(server: "files", uri: "file:///x") == "files+file:///x")
        for form in ["files+file:///x", "files__file:///x"] {
            let split = ResourceName.split(form, servers: servers)
            #expect(split?.server == "files")
            #expect(split?.uri == "file:///x")
        }
        #expect(ResourceName.split("a__b__c", servers: servers)?.server == "a__b")
        #expect(ResourceName.split("a__c", servers: servers)?.uri == "c")
        #expect(ResourceName.split("file:///x", servers: servers) == nil)
    }
}

@Suite("CachePolicy")
struct CachePolicyTests {
    private let readOnly = ToolAnnotations(readOnly: true)

    @Test func nothingIsCachedByItself() {
        #expect(
            CachePolicy.off.cacheable(tool: "t", annotations: readOnly) == .no(.policyIsOff))
        #expect(CachePolicy().sharing == .user)
    }

    @Test func readOnlyNeedsTheToolsWord() {
        let policy = CachePolicy(mode: .readOnly)
        #expect(policy.cacheable(tool: "t", annotations: readOnly) == .yes)
        #expect(policy.cacheable(tool: "t", annotations: ToolAnnotations()) == .no(.notReadOnly))
        #expect(
            policy.cacheable(tool: "t", annotations: ToolAnnotations(readOnly: false))
                == .no(.notReadOnly))
        #expect(
            policy.cacheable(
                tool: "t", annotations: ToolAnnotations(readOnly: true, destructive: true))
                == .no(.destructive))
        #expect(
            policy.cacheable(
                tool: "t", annotations: ToolAnnotations(destructive: false, idempotent: true))
                == .no(.notReadOnly))
    }

    @Test func listedToolsAreCachedUnlessTheySayNo() {
        let policy = CachePolicy(mode: .listed, tools: ["t"])
        #expect(policy.cacheable(tool: "t", annotations: ToolAnnotations()) == .yes)
        #expect(policy.cacheable(tool: "t", annotations: readOnly) == .yes)
        #expect(policy.cacheable(tool: "u", annotations: readOnly) == .no(.notListed))
        let writing = ToolAnnotations(readOnly: false, destructive: true)
        #expect(policy.cacheable(tool: "t", annotations: writing) == .no(.notReadOnly))
        #expect(
            policy.cacheable(tool: "t", annotations: ToolAnnotations(destructive: true))
                == .no(.destructive))
        var insisting = policy
        insisting.overridesVeto = true
        #expect(insisting.cacheable(tool: "t", annotations: writing) == .yes)
    }

    @Test func onlyWholeGoodAnswersOfLimitedSizeAreStored() {
        func decision(_ json: String, bytesMax: Int = 100) -> CachePolicy.Decision {
            let text = TestText(json)
            return CachePolicy.storable(
                text.with { ResultFacts.read(text.whole, in: $0) }, bytesMax: bytesMax)
        }
        #expect(decision(#"{"content":[]}"#) == .yes)
        #expect(decision(#"{"content":[]}"#, bytesMax: 14) == .yes)
        #expect(decision(#"{"content":[]}"#, bytesMax: 13) == .no(.tooLarge))
        #expect(decision(#"{"content":[],"isError":true}"#) == .no(.isError))
        #expect(decision(#"{"resultType":"input_required"}"#) == .no(.incomplete))
        #expect(decision(#"{"resultType":"task"}"#) == .no(.task))
        #expect(decision(#"{"resultType":"novel"}"#) == .no(.incomplete))
    }

    @Test func callsThatAreNotPlainQuestionsBypassTheCache() throws {
        func decision(_ json: String) throws -> CachePolicy.Decision {
            let text = TestText(json)
            return CachePolicy.cacheable(
                call: try text.bytes.withRawSpan { span in
                    try MCPParameters.read(text.whole, in: span)
                })
        }
        #expect(try decision(#"{"name":"x","arguments":{}}"#) == .yes)
        #expect(try decision(#"{"name":"x","task":{}}"#) == .no(.task))
        #expect(try decision(#"{"name":"x","inputResponses":{}}"#) == .no(.secondLeg))
        #expect(try decision(#"{"name":"x","requestState":"s"}"#) == .no(.secondLeg))
    }

    @Test func annotationsAreReadWithTheSpecificationsDefaults() {
        let text = TestText(#"{"name":"x","annotations":{"readOnlyHint":true,"title":"X"}}"#)
        let annotations = text.with { ToolAnnotations(tool: text.whole, in: $0) }
        #expect(annotations == readOnly)
        #expect(annotations.isReadOnly)
        #expect(annotations.isDestructive)
        #expect(annotations.isOpenWorld)
        #expect(!annotations.isIdempotent)
        #expect(annotations.saidDestructive == nil)
    }
}

@Suite("ListPage")
struct ListPageTests {
    @Test func pagesCoverTheListExactlyOnce() throws {
        for count in [0, 1, 9, 10, 11, 25] {
            var seen: [Int] = []
            var cursor: String?
            repeat {
                let page = try ListPage.page(of: count, sizeMax: 10, version: 7, cursor: cursor)
                seen += page.range
                cursor = page.nextCursor
            } while cursor != nil
            #expect(seen == Array(0..<count))
        }
    }

    @Test func foreignAndOutdatedCursorsAreRefused() throws {
        let cursor = try #require(
            try ListPage.page(of: 25, sizeMax: 10, version: 7, cursor: nil).nextCursor)
        let refused = RPCFailure(.invalidParams, .badCursor)
        #expect(throws: refused) {
            try ListPage.page(of: 25, sizeMax: 10, version: 8, cursor: cursor)
        }
        #expect(throws: refused) {
            try ListPage.page(of: 5, sizeMax: 10, version: 7, cursor: cursor)
        }
        for bad in [
            "", ".", "0.0", "a", "10", "-1.x", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", cursor + "0",
        ] {
            #expect(throws: refused) {
                try ListPage.page(of: 25, sizeMax: 10, version: 7, cursor: bad)
            }
        }
    }

    @Test func walksEndEvenWhenTheServerGoesInCircles() {
        var walk = ListWalk(pagesMax: 3)
        #expect(walk.received(nextCursor: "a") == .next("a"))
        #expect(walk.received(nextCursor: nil) == .done)
        walk = ListWalk(pagesMax: 3)
        _ = walk.received(nextCursor: "a")
        #expect(walk.received(nextCursor: "a") == .givenUp)
        walk = ListWalk(pagesMax: 2)
        _ = walk.received(nextCursor: "a")
        #expect(walk.received(nextCursor: "b") == .givenUp)
    }

    @Test(arguments: ["Files", "my files", "9lives", "ünder", "a__b", "-x", ""])
    func `a server whose name is no URI scheme gets one of its own`(server: String) {
        let offered = ResourceName.prefixed(server: server, uri: "file:///x")
        let scheme = offered.prefix { $0 != "+" }
        #expect(scheme.first?.isLetter == true && scheme.first?.isASCII == true)
        #expect(
            scheme.utf8.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789-.".utf8.contains($0) })
        let split = ResourceName.split(offered, servers: ["files", "x", "my-files", "a", server])
        #expect(split?.server == server)
        #expect(split?.uri == "file:///x")
    }
}
