import OmniIO

// Sections about who connects to us: [Main] [HTTP] [WebSocket] [Access].

extension Configuration {
    struct Main: Sendable, Hashable {
        var stopTimeout: Duration

        init(_ read: inout ConfigurationReader) {
            read.begin("Main")
            stopTimeout = read.span(
                "StopTimeoutSec", .seconds(30), in: .seconds(1)...(.seconds(600)),
                "How long a stop waits for requests in flight before it ends them.", .live)
        }
    }

    struct HTTP: Sendable, Hashable {
        var listen: [ListenAddress]
        var allowedHosts: [String]
        var allowedOrigins: [String]
        var headerTimeout: Duration
        var bodyTimeout: Duration
        var idleTimeout: Duration
        var headerBytesMax: Int
        var bodyBytesMax: Int
        var connectionsMax: Int
        /// The dashboard's files; nil: where they are by themselves.
        var webRoot: String?

        init(_ read: inout ConfigurationReader, _ directories: ConfigurationDirectories) {
            read.begin("HTTP")
            listen = read.list(
                "Listen",
                [
                    .address("127.0.0.1", port: 8090),
                    .socket("\(directories.runtime)/admin.sock"),
                ],
                shown: "127.0.0.1:8090 $RUNTIME_DIRECTORY/admin.sock", kind: "listen address",
                "Where to listen: ADDRESS:PORT, [IPV6]:PORT or the path of a Unix socket. Sockets "
                    + "passed by systemd take its place.",
                text: { $0.text }, parse: { ListenAddress($0) })
            allowedHosts = read.words(
                "AllowedHosts",
                "Names a client may use in Host, besides localhost and plain addresses.", .live,
                kind: "host name", isAllowed: Configuration.isHostName)
            allowedOrigins = read.words(
                "AllowedOrigins",
                "Web origins whose pages may call us, such as https://dashboard.example.org, besides "
                    + "the daemon's own.", .live, kind: "web origin",
                isAllowed: Configuration.isOrigin)
            headerTimeout = read.span(
                "HeaderTimeoutSec", .seconds(10), in: .milliseconds(10)...(.seconds(600)),
                "How long a request head may take to arrive before 408.", .live)
            bodyTimeout = read.span(
                "BodyTimeoutSec", .seconds(30), in: .milliseconds(10)...(.seconds(3600)),
                "How long a request body may take to arrive before 408.", .live)
            idleTimeout = read.span(
                "IdleTimeoutSec", .seconds(75), in: .milliseconds(10)...(.seconds(86_400)),
                "How long an idle connection is kept for the next request.", .live)
            headerBytesMax = read.size(
                "MaxHeaderBytes", 32 << 10, in: 1 << 10...1 << 20,
                "Longest request head; a longer one is answered 431.", .live)
            bodyBytesMax = read.size(
                "MaxBodyBytes", 4 << 20, in: 1 << 10...1 << 30,
                "Longest request body; a longer one is answered 413.", .live)
            connectionsMax = read.count(
                "MaxConnections", 12_000, in: 1...1_000_000,
                "Connections at a time, WebSockets included; beyond it new ones wait in the backlog."
            )
            webRoot = read.path(
                "WebRoot", nil, shown: "/usr/share/omni2/web",
                "Directory with the dashboard's files, read at the start and at a reload.", .live)
            read.require(
                Set(listen).count == listen.count, "HTTP", "Listen",
                "names an address twice", "name each address once")
        }
    }

    struct WebSocket: Sendable, Hashable {
        /// What happens to a subscriber that the event log has overtaken.
        enum LagPolicy: String, CaseIterable, Sendable { case resync, close }

        var pingInterval: Duration
        var stallTimeout: Duration
        var staleTimeout: Duration
        var connectionsMax: Int
        /// Rings for subscribers, the main one included; 0 stands for one per processor.
        var shards: Int
        var messageBytesMax: Int
        var lagEventsMax: Int
        var lagBytesMax: Int
        var lagPolicy: LagPolicy
        var perIdentityMax: Int
        var perAddressMax: Int
        var compresses: Bool
        var hasEchoEndpoint: Bool

        init(_ read: inout ConfigurationReader) {
            read.begin("WebSocket")
            pingInterval = read.span(
                "PingSec", .seconds(20), in: .milliseconds(100)...(.seconds(3600)),
                "How often a quiet connection is pinged.", .live)
            stallTimeout = read.span(
                "StallSec", .seconds(60), in: .milliseconds(100)...(.seconds(3600)),
                "A subscriber whose socket takes nothing for so long is closed.", .live)
            staleTimeout = read.span(
                "StaleSec", .seconds(300), in: .milliseconds(100)...(.seconds(86_400)),
                "A connection from which nothing, not even a pong, came for so long is closed.",
                .live)
            connectionsMax = read.count(
                "MaxConnections", 10_000, in: 1...1_000_000,
                "WebSocket connections at a time; beyond it an upgrade is answered 503.")
            shards = read.count(
                "Shards", 0, in: 0...64,
                "Rings that share the subscribers, each with a thread and an event log of its own. "
                    + "0: as many as there are processors.")
            messageBytesMax = read.size(
                "MaxMessageBytes", 1 << 20, in: 125...64 << 20,
                "Longest message accepted; a longer one closes the connection with 1009.", .live)
            lagEventsMax = read.count(
                "LagMaxEvents", 65_536, in: 16...16_777_216,
                "Events that the log keeps: how far a slow reader may fall behind.")
            lagBytesMax = read.size(
                "LagMax", 16 << 20, in: 64 << 10...4 << 30,
                "Bytes that the log keeps: how far a slow reader may fall behind.")
            lagPolicy = read.choice(
                "LagPolicy", LagPolicy.resync,
                "What a subscriber gets that fell behind the log: a new snapshot (resync), or the "
                    + "end (close, 1013).", .live)
            perIdentityMax = read.count(
                "MaxPerIdentity", 0, in: 0...1_000_000,
                "WebSocket connections of one identity; beyond it an upgrade is answered 429. 0: no "
                    + "limit of its own.")
            perAddressMax = read.count(
                "MaxPerAddress", 0, in: 0...1_000_000,
                "WebSocket connections from one address; beyond it an upgrade is answered 429. 0: "
                    + "no limit of its own.")
            compresses = read.truth(
                "Compression", true,
                "Agree to permessage-deflate with clients that offer it; messages under 256 bytes "
                    + "are sent as they are.", .live)
            hasEchoEndpoint = read.truth(
                "EchoEndpoint", false, "Serve /ws/echo, for conformance tests.")
            read.require(
                staleTimeout > pingInterval, "WebSocket", "StaleSec",
                "is not longer than PingSec=\(ConfigurationText.text(pingInterval)): connections "
                    + "would be closed before their pong can come",
                "make StaleSec= at least twice PingSec=")
        }
    }

    struct Access: Sendable, Hashable {
        /// Its content is a token with role super_admin.
        var adminTokenFile: String
        var adminGroup: String
        var trustedProxies: [String]
        var jwks: String?
        var jwtSecret: Secret?
        var encryptionKey: Secret?
        var issuers: [String]
        var audiences: [String]
        var scopes: [String]
        var roleClaim: String
        /// The URL by which clients know us.
        var resource: String?
        var authorizationServers: [String]
        var callsPerPrincipalMax: Int
        var callsWaitingMax: Int

        init(_ read: inout ConfigurationReader, _ directories: ConfigurationDirectories) {
            read.begin("Access")
            let standard = "\(directories.state)/admin-token"
            adminTokenFile =
                read.path(
                    "AdminTokenFile", standard, shown: "$STATE_DIRECTORY/admin-token",
                    "A file whose content is a token with role super_admin; made, mode 0600, when "
                        + "it is missing.") ?? standard
            adminGroup = read.text(
                "AdminGroup", "omni2-admin",
                "Members may administer through the Unix socket, as root may.")
            trustedProxies = read.words(
                "TrustedProxies",
                "Addresses, or unix, whose X-User-Id, X-User-Username and X-User-Role headers are "
                    + "believed.", .live, kind: "address, address/bits or unix",
                isAllowed: { $0 == "unix" || ListenAddress.isNetwork($0) })
            let key = read.text(
                "JWKS", "",
                "File or https URL with the public keys of accepted JSON web tokens.", .live)
            jwks = key.isEmpty ? nil : key
            read.require(
                key.isEmpty || key.hasPrefix("/") || key.hasPrefix("https://")
                    || key.hasPrefix("http://127.0.0.1"),
                "Access", "JWKS", "is neither an absolute path nor an https URL",
                "write one of the two")
            jwtSecret = read.secret(
                "JWTSecret", credential: "jwt-secret",
                "Shared secret of accepted HS256 tokens, at least 32 bytes.",
                isAllowed: { $0.utf8.count >= 32 }, expected: "at least 32 bytes")
            issuers = read.words(
                "Issuers", "Issuers (iss) whose tokens are accepted with JWKS=; empty: any.",
                kind: "issuer", isAllowed: { !$0.isEmpty })
            audiences = read.words(
                "Audiences",
                "Audiences (aud) of tokens that are meant for us; empty: our own URL.",
                kind: "audience", isAllowed: { !$0.isEmpty })
            scopes = read.words(
                "Scopes", "OAuth scopes that a token needs to use MCP.", kind: "scope",
                isAllowed: {
                    $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
                })
            roleClaim = read.text(
                "RoleClaim", "role",
                "Claim of a token that names the role of somebody who has no account here.")
            let url = read.text(
                "Resource", "",
                "The URL by which MCP clients know us, such as https://gateway.example.org/mcp; "
                    + "empty: the address they use.")
            resource = url.isEmpty ? nil : url
            authorizationServers = read.words(
                "AuthorizationServers",
                "OAuth authorization servers where clients get their tokens (RFC 9728).",
                kind: "https URL",
                isAllowed: {
                    $0.hasPrefix("https://") || $0.hasPrefix("http://127.0.0.1")
                        || $0.hasPrefix("http://localhost")
                })
            callsPerPrincipalMax = read.count(
                "MaxCallsPerPrincipal", 64, in: 1...65_536,
                "Calls in flight of one person or credential; beyond it they wait their turn.")
            callsWaitingMax = read.count(
                "MaxCallsWaiting", 256, in: 0...65_536,
                "Calls that wait for one person's or one server's turn; more are refused.")
            read.require(
                url.isEmpty || SplitURL(url) != nil, "Access", "Resource", "is not a URL",
                "write https://host/mcp")
            encryptionKey = read.secret(
                "EncryptionKey", credential: "encryption-key",
                "Key that encrypts the servers' credentials in the database: 64 hexadecimal digits.",
                isAllowed: { $0.utf8.count == 64 && $0.allSatisfy(\.isHexDigit) },
                expected: "64 hexadecimal digits")
        }
    }

    static func isHostName(_ text: String) -> Bool {
        let name = text.hasPrefix("*.") ? text.dropFirst(2) : Substring(text)
        return !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// scheme://host or scheme://host:port, nothing after it.
    static func isOrigin(_ text: String) -> Bool {
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
            let rest = text.dropFirst(scheme.count)
            return !rest.isEmpty && !rest.contains { "/?#@ ".contains($0) }
        }
        return false
    }
}
