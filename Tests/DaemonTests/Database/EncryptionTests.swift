import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("AuthenticationColumns")
struct EncryptionTests {
    private let open = AuthenticationColumns(box: nil)
    private let sealed = AuthenticationColumns(box: SecretBox(key: [UInt8](0..<32)))

    private static let kinds: [ServerConfiguration.Authentication] = [
        .bearer(token: "s3cret"), .apiKey(header: "X-Key", key: "s3cret"),
        .headers([.init(name: "A", value: "s3cret"), .init(name: "B", value: "2")]),
    ]

    @Test(arguments: kinds)
    func withAKeyNothingIsInTheOpen(kind: ServerConfiguration.Authentication) {
        let columns = sealed.columns(of: kind)
        #expect(columns.config?.contains("s3cret") == false)
        #expect(columns.config?.hasPrefix("{\"enc\":\"v1:") == true)
        #expect(sealed.authentication(type: columns.type, config: columns.config) == kind)
    }

    @Test(arguments: kinds)
    func rowsInTheOpenAreReadWithAKeyToo(kind: ServerConfiguration.Authentication) {
        let columns = open.columns(of: kind)
        #expect(open.authentication(type: columns.type, config: columns.config) == kind)
        #expect(sealed.authentication(type: columns.type, config: columns.config) == kind)
    }

    @Test func withoutTheKeyItIsUnreadableAndNotNone() {
        let columns = sealed.columns(of: Self.kinds[0])
        let other = AuthenticationColumns(box: SecretBox(key: [UInt8](1..<33)))
        for reader in [open, other] {
            guard
                case .unreadable = reader.authentication(
                    type: columns.type, config: columns.config)
            else {
                Issue.record("it was read")
                return
            }
        }
    }

    @Test(arguments: [
        ("bearer", "{}"), ("bearer", "[]"), ("bearer", "\"text\""), ("bearer", "not JSON"),
        ("api_key", #"{"header_name": "X"}"#), ("custom_headers", #"{"headers": 1}"#),
        ("oauth", #"{"token": "t"}"#), ("bearer", #"{"enc": "v2:abc"}"#),
        ("bearer", #"{"enc": "v1:###"}"#),
    ])
    func whatMakesNoSenseIsUnreadable(type: String, config: String) {
        guard case .unreadable = sealed.authentication(type: type, config: config) else {
            Issue.record("it was read")
            return
        }
    }

    @Test func theOriginalsWaysAreRead() {
        #expect(open.authentication(type: nil, config: "{\"token\": \"t\"}") == .none)
        #expect(open.authentication(type: "", config: nil) == .none)
        #expect(
            open.authentication(type: "bearer", config: "{\"api_key\": \"k\"}")
                == .bearer(token: "k"))
    }

    @Test func aSecretIsNeverPrinted() {
        for kind in Self.kinds {
            #expect(!"\(kind)".contains("s3cret"))
            var configuration = ServerConfiguration.sample()
            configuration.authentication = kind
            #expect(!"\(configuration)".contains("s3cret"))
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func theStoreEncryptsAndAnUpdateWithoutTheKeyKeepsTheSecret(engine: StoreEngine) async throws {
        var settings = SQLStore.Settings()
        settings.key = SecretBox(key: [UInt8](0..<32))
        try await engine.run(settings) { io, store, _ in
            let id = try await store.insert(.sample()).id
            #expect(
                try await store.server(id: id)?.configuration.authentication
                    == .bearer(token: "s3cret"))
            let raw = try await store.rows("SELECT * FROM \(Self.table(engine))")[0]
            #expect(raw.text("auth_config")?.contains("s3cret") == false)
            #expect(raw.text("auth_type") == "bearer")

            let blind = SQLStore(io, store.database)
            var seen = try #require(try await blind.server(id: id)).configuration
            guard case .unreadable = seen.authentication else {
                Issue.record("it was read")
                return
            }
            seen.timeoutSeconds = 77
            _ = try await blind.update(id: id, seen)
            let after = try #require(try await store.server(id: id)).configuration
            #expect(after.authentication == .bearer(token: "s3cret"))
            #expect(after.timeoutSeconds == 77)
        }
    }

    private static func table(_ engine: StoreEngine) -> String {
        engine == .sqlite ? "mcp_servers" : "omni2.mcp_servers"
    }
}
