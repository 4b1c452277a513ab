import Testing

@testable import omni2_native

@Suite("Configuration: command line")
struct ConfigurationArgumentsTests {
    @Test func eachFormIsUnderstood() throws {
        #expect(try ConfigurationArguments([]) == .run(.system()))
        #expect(try ConfigurationArguments(["--check"]) == .check(.system()))
        #expect(try ConfigurationArguments(["--config", "/f"]) == .run(.file("/f")))
        #expect(try ConfigurationArguments(["--config=/f", "--check"]) == .check(.file("/f")))
        #expect(try ConfigurationArguments(["--check", "-c", "/f"]) == .check(.file("/f")))
        #expect(try ConfigurationArguments(["--version"]) == .version)
        #expect(try ConfigurationArguments(["--help", "--nonsense"]) == .help)
    }

    @Test(arguments: [["--config"], ["--config", ""], ["--chekc"], ["file"]])
    func nonsenseIsRefusedWithAdvice(words: [String]) {
        do throws(ConfigurationArguments.Failure) {
            _ = try ConfigurationArguments(words)
            Issue.record("accepted \(words)")
        } catch {
            #expect(error.description.contains(words[0]))
        }
    }
}

@Suite("Limits")
struct LimitsTests {
    @Test func limitsFollowTheConfiguration() {
        var configuration = Configuration.standard()
        configuration.cache.entriesMax = 7
        configuration.webSocket.connectionsMax = 9
        let limits = Limits.standard(from: configuration)
        #expect(limits.cacheEntriesMax == 7)
        #expect(limits.subscribersMax == 9)
        #expect(limits.headerBytesMax == 32 << 10)
    }

    @Test func budgetOfTheDefaultsFitsTheUnit() {
        var standard = Limits.standard(from: .standard())
        // Whatever the machine has: an event log per ring is what `Shards=` asks for.
        standard.ringsMax = 4
        #expect(standard.memoryBudgetBytes < 2 << 30)
        #expect(Limits.tiny.memoryBudgetBytes < 4 << 20)
    }
}
