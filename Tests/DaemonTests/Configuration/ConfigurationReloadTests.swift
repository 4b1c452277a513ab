import OmniIO
import Testing

@testable import omni2_native

@Suite("Configuration: reload")
struct ConfigurationReloadTests {
    private let tree = ConfigurationTree()
    private let main = "/etc/omni2/omni2.conf"

    @Test func liveSettingsChangeAndTheOthersWait() throws {
        let old = try tree.load()
        tree.write(
            main,
            "[Log]\nLevel=debug\n[Cache]\nTTLSec=7\nMaxEntries=5\n[Coordinator]\nBackoffSec=1 2\n")
        let (next, changes) = try old.reloaded(as: tree.load())
        #expect(next.log.level == .debug)
        #expect(next.cache.timeToLive == .seconds(7))
        #expect(next.coordinator.backoff == [.seconds(1), .seconds(2)])
        #expect(next.cache.entriesMax == 1000, "the segment keeps its size")
        #expect(
            changes.live == [
                .init(name: "[Cache] TTLSec=", before: "5min", after: "7s"),
                .init(
                    name: "[Coordinator] BackoffSec=", before: "30s 1min 2min 4min 8min 10min",
                    after: "1s 2s"),
                .init(name: "[Log] Level=", before: "info", after: "debug"),
            ])
        #expect(
            changes.needsRestart == [
                .init(name: "[Cache] MaxEntries=", before: "1000", after: "5")
            ])
    }

    @Test func unchangedFilesChangeNothing() throws {
        tree.write(main, "[Cache]\nTTLSec=7\n")
        let old = try tree.load()
        tree.write(main, "# moved\n\n[Cache]\nTTLSec=7s\n")
        #expect(try old.reloaded(as: tree.load()).1.isEmpty)
    }

    @Test func takingASettingBackIsAChange() throws {
        tree.write(main, "[Cache]\nTTLSec=7\n")
        let old = try tree.load()
        tree.write(main, "")
        let (next, changes) = try old.reloaded(as: tree.load())
        #expect(next.cache.timeToLive == .seconds(300))
        #expect(changes.live.count == 1)
    }

    @Test func changedSecretIsSeenAndNotShown() throws {
        let old = try tree.load(["OMNI2_DATABASE_URL": "postgresql://a/"])
        let new = try tree.load(["OMNI2_DATABASE_URL": "postgresql://b/"])
        let (next, changes) = try old.reloaded(as: new)
        #expect(next.database.url?.revealed == "postgresql://a/")
        #expect(
            changes.needsRestart == [
                .init(name: "[Database] URL=", before: "********", after: "********")
            ])
    }

    @Test func secondReloadStillRemembersWhatWaits() throws {
        let old = try tree.load()
        tree.write(main, "[Cache]\nMaxEntries=5\n")
        let (first, _) = try old.reloaded(as: tree.load())
        let (second, changes) = try first.reloaded(as: tree.load())
        #expect(second.cache.entriesMax == 1000)
        #expect(changes.needsRestart.count == 1)
    }

    @Test func newLiveValueThatContradictsAKeptOneIsRefused() throws {
        tree.write(main, "[Cache]\nMaxBytes=1M\n")
        let old = try tree.load()
        tree.write(main, "[Cache]\nMaxBytes=8M\nMaxValueBytes=2M\n")
        let new = try tree.load()
        #expect(throws: ConfigurationError.self) { try old.reloaded(as: new) }
    }
}
