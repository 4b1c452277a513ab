import OmniCore
import OmniIO

/// How one server is reached, besides its URL: what `omni2` in its `meta_data` says of it.
///
///     {"omni2": {"era": "handshake", "session": "principal", "proxy": "http://proxy:3128",
///                "tls": {"ca": "/etc/ssl/own.pem", "cert": "/…/client.pem", "key": "/…/client.key"}}}
struct UpstreamSettings: Equatable {
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    /// Pins the era of the protocol; nil finds it out.
    var eras: UpstreamEras?
    /// Each principal has a session of its own with the server.
    var isPersonal = false
    /// Authorities, our certificate, the proxy.
    var connection = HTTPClientRequest.Options()

    init() {}

    /// - Throws: what is wrong, in a sentence.
    init(metaData: String) throws(Problem) {
        // Almost no row says anything; the tree is built only where it may.
        guard metaData.contains("\"omni2\"") else { return }
        let meta = try? JSONValue(parsing: Array(metaData.utf8))
        if let omni2 = meta?["omni2"], !omni2.isNull { try read(omni2) }
    }

    init(_ omni2: JSONValue) throws(Problem) { try read(omni2) }

    private mutating func read(_ omni2: JSONValue) throws(Problem) {
        switch omni2["era"]?.string {
        case "handshake": eras = .handshakeOnly
        case "modern": eras = .modernOnly
        case "auto": break
        case nil where omni2["era"] == nil: break
        default: throw Problem(description: "omni2.era must be auto, handshake or modern")
        }
        switch omni2["session"]?.string {
        case "principal": isPersonal = true
        case "shared": break
        case nil where omni2["session"] == nil: break
        default: throw Problem(description: "omni2.session must be shared or principal")
        }
        connection.proxy = try Self.text(omni2["proxy"], "omni2.proxy")
        connection.authorityFile = try Self.file(omni2["tls"]?["ca"], "omni2.tls.ca")
        connection.certificateFile = try Self.file(omni2["tls"]?["cert"], "omni2.tls.cert")
        connection.keyFile = try Self.file(omni2["tls"]?["key"], "omni2.tls.key")
    }

    private static func text(_ value: JSONValue?, _ name: String) throws(Problem) -> String? {
        guard let value, !value.isNull else { return nil }
        guard let text = value.string, !text.isEmpty,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
        else { throw Problem(description: "\(name) must be a text without spaces") }
        return text
    }

    private static func file(_ value: JSONValue?, _ name: String) throws(Problem) -> String? {
        let path = try text(value, name)
        if let path, !path.hasPrefix("/") {
            throw Problem(description: "\(name) must be an absolute path")
        }
        return path
    }
}
