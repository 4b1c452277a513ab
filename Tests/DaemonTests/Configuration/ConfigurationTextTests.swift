import Testing

@testable import omni2_native

@Suite("Configuration: values")
struct ConfigurationTextTests {
    @Test(arguments: [
        ("30", 30_000), ("5min", 300_000), ("1h 30s", 3_630_000), ("1h30s", 3_630_000),
        ("500ms", 500), ("1.5h", 5_400_000), ("0", 0), ("2 min", 120_000), (" 7 ", 7_000),
        ("1d", 86_400_000), ("1w", 604_800_000), ("1minutes 2seconds", 62_000), ("0.25", 250),
        ("1M", 2_629_800_000), ("1m", 60_000),
    ])
    func timeSpanIsReadAsSystemdDoes(text: String, milliseconds: Int64) {
        #expect(ConfigurationText.timeSpan(text) == .milliseconds(milliseconds))
    }

    @Test(arguments: [
        "", " ", "min", "5 parsecs", "-5", "5,5", "1.", "5min!", "1e3", "99999999999999999999",
        "300 years", "infinity2", "Infinity", "5 5x",
    ])
    func nonsenseIsNoTimeSpan(text: String) {
        #expect(ConfigurationText.timeSpan(text) == nil)
    }

    @Test func infinityIsLongerThanEverything() {
        #expect(ConfigurationText.timeSpan("infinity") == ConfigurationText.infinity)
        #expect(ConfigurationText.infinity > .seconds(31_557_600 * 290))
    }

    @Test(arguments: [
        ("1000", 1000), ("64K", 65_536), ("1M", 1 << 20), ("2G", 2 << 30), ("1T", 1 << 40),
        ("1.5M", 3 << 19), ("0", 0), ("10B", 10), ("4 K", 4096),
    ])
    func sizeIsReadInBase1024(text: String, bytes: Int) {
        #expect(ConfigurationText.size(text) == bytes)
    }

    @Test(arguments: ["", "K", "1k", "1MB", "-1", "1,5M", "infinity", "99999999T", "1 M 1"])
    func nonsenseIsNoSize(text: String) { #expect(ConfigurationText.size(text) == nil) }

    @Test func truthHasManyNames() {
        for text in ["yes", "YES", "true", "on", "1", "y", "t"] {
            #expect(ConfigurationText.truth(text) == true)
        }
        for text in ["no", "False", "off", "0", "n", "f"] {
            #expect(ConfigurationText.truth(text) == false)
        }
        for text in ["", "maybe", "2", "yess"] { #expect(ConfigurationText.truth(text) == nil) }
    }

    @Test(arguments: [
        Duration.zero, .milliseconds(1), .milliseconds(1500), .seconds(30), .seconds(90),
        .seconds(300), .seconds(3661), .seconds(30 * 86_400), .microseconds(7),
        ConfigurationText.infinity,
    ])
    func writtenTimeSpanIsReadBack(span: Duration) {
        #expect(ConfigurationText.timeSpan(ConfigurationText.text(span)) == span)
    }

    @Test(arguments: [0, 1, 1023, 1024, 1025, 1 << 20, 3 << 20, (1 << 20) + 1, 5 << 30])
    func writtenSizeIsReadBack(size: Int) {
        #expect(ConfigurationText.size(ConfigurationText.text(size: size)) == size)
    }

    @Test(arguments: [
        ("127.0.0.1:8090", "127.0.0.1:8090"), ("0.0.0.0:1", "0.0.0.0:1"),
        ("[::1]:8090", "[::1]:8090"), ("[::]:80", "[::]:80"),
        ("[2001:db8:0:0:0:0:0:1]:443", "[2001:db8::1]:443"),
        ("[::ffff:10.0.0.1]:65535", "[::ffff:a00:1]:65535"), ("[fe80::]:7", "[fe80::]:7"),
        ("[1:2:3:4:5:6:7:8]:9", "[1:2:3:4:5:6:7:8]:9"),
        ("/run/omni2/admin.sock", "/run/omni2/admin.sock"),
    ])
    func listenAddressIsReadAndWritten(text: String, written: String) {
        #expect(ListenAddress(text)?.text == written)
        #expect(ListenAddress(written) == ListenAddress(text))
    }

    @Test(arguments: [
        "", "8090", ":8090", "localhost:8090", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536",
        "127.0.0:1", "256.0.0.1:1", "1.2.3.4.5:1", "[::1]", "[::1:80", "[1::2::3]:1", "[12345::]:1",
        "[1:2:3:4:5:6:7:8:9]:1", "run/relative.sock", "[g::]:1", "::1:80",
        "/" + String(repeating: "a", count: 107),
    ])
    func nonsenseIsNoListenAddress(text: String) { #expect(ListenAddress(text) == nil) }

    @Test func namesBecomeVariables() {
        let names = [
            "MaxEntries": "MAX_ENTRIES", "TTLSec": "TTL_SEC", "URL": "URL",
            "OTLPEndpoint": "OTLP_ENDPOINT", "HalfOpenMaxCalls": "HALF_OPEN_MAX_CALLS",
            "JWKS": "JWKS", "WebSocket": "WEB_SOCKET", "APIKey": "API_KEY", "PingSec": "PING_SEC",
        ]
        for (name, variable) in names { #expect(ConfigurationNames.snake(name) == variable) }
    }

    @Test func distanceCountsEdits() {
        #expect(ConfigurationNames.distance("", "abc") == 3)
        #expect(ConfigurationNames.distance("kitten", "sitting") == 3)
        #expect(ConfigurationNames.distance("entires", "entries") == 1, "a swap is one edit")
        #expect(ConfigurationNames.nearest(to: "maxentires", among: ["MaxEntries"]) == "MaxEntries")
        #expect(ConfigurationNames.nearest(to: "Colour", among: ["MaxEntries", "URL"]) == nil)
    }
}
