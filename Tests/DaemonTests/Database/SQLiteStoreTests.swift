import Glibc
import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("SQLiteStore")
struct SQLiteStoreTests {
    @Test func aStoreWhoseFolderComesLaterIsReadyThen() async throws {
        let folder = try TemporaryFolder()
        try await RingFixture.run { io in
            let later = folder.path + "-later"
            let store = SQLStore.sqlite(io, path: later + "/omni2.db")
            let events = StoreEvents(store, io)
            store.start()
            #expect(await events.isUnavailable())
            // From here on the folder's own object removes it.
            #expect(unsafe rename(folder.path, later) == 0)
            #expect(await events.state { $0 == .ready })
            _ = try await store.insert(.sample())
            await store.stop()
            #expect(unsafe rename(later, folder.path) == 0)
        }
    }

    @Test func whatWasWrittenIsThereAfterARestart() async throws {
        let folder = try TemporaryFolder()
        try await RingFixture.run { io in
            let path = folder.path + "/omni2.db"
            var written: [ServerRecord] = []
            let first = SQLStore.sqlite(io, path: path)
            try await withRunning(first, io) { _ in
                written = [try await first.insert(.sample())]
            }
            let second = SQLStore.sqlite(io, path: path)
            try await withRunning(second, io) { _ in
                let servers = try await second.servers()
                #expect(servers == written)
            }
        }
    }

    @Test func aFileThatIsNoDatabaseIsUnavailableWithAReason() async throws {
        try await RingFixture.run { io in
            let store = SQLStore.sqlite(io, path: "/etc/passwd")
            let events = StoreEvents(store, io)
            store.start()
            #expect(await events.isUnavailable())
            #expect(store.state.absence.contains("not a database"))
            await store.stop()
        }
    }
}
