import OmniCore
import OmniIO

/// How the daemon is reached: its Unix socket, or a URL with a token.
struct Door: Sendable {
    enum Place: Hashable, Sendable {
        case socket(String)
        /// Without a slash at the end.
        case host(String)
    }

    let place: Place
    let token: String?
    let authorityFile: String?

    private static let tokenBytesMax = 8192

    init(_ options: CommonOptions, _ environment: Environment) throws(Failure) {
        if let host = options.host {
            place = .host(try Self.checked(host))
        } else {
            let directory = environment["RUNTIME_DIRECTORY"] ?? "/run/omni2"
            place = .socket(options.socket ?? "\(directory)/admin.sock")
        }
        authorityFile = options.authorityFile
        if let file = authorityFile, !Files.exists(file) {
            throw .usage("--ca-file \(file) is not there")
        }
        if let file = options.tokenFile {
            token = try Self.secret(in: file)
        } else if let text = options.token {
            token = text
        } else {
            // On the socket a user id says more than a variable that was meant for another host.
            token = options.host == nil ? nil : environment["OMNI2_TOKEN"]
        }
        if let token, !Self.isHeaderValue(token) {
            throw .usage("the token has characters that no token has; is it the right file?")
        }
    }

    /// What stands in a file that holds one secret, without the white space around it.
    static func secret(in file: String) throws(Failure) -> String {
        let bytes: [UInt8]
        do throws(Files.ReadError) {
            bytes = try Files.read(file, bytesMax: tokenBytesMax)
        } catch {
            throw .usage("\(file) cannot be read: \(error)")
        }
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        guard !text.isEmpty else { throw .usage("\(file) is empty; it should hold a token") }
        return text
    }

    private static func checked(_ host: String) throws(Failure) -> String {
        let rest = ["http://", "https://"].first { host.hasPrefix($0) }
            .map { host.dropFirst($0.count) }
        guard let rest, !rest.isEmpty, rest.first != "/" else {
            throw .usage("--host is a URL such as https://gateway.example.org, not \(host)")
        }
        return host.hasSuffix("/") ? String(host.dropLast()) : host
    }

    private static func isHeaderValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    func url(_ path: String) -> String {
        switch place {
        case .socket(let file): "http+unix://\(PercentText.encode(file))\(path)"
        case .host(let host): host + path
        }
    }

    /// What to tell when nobody answers there. About a socket libcurl's reason, which speaks of
    /// hosts and ports, would mislead.
    func advice(_ reason: String) -> String {
        switch place {
        case .socket(let file) where !Files.exists(file):
            return "\(file) is missing; is the daemon running? Try systemctl status omni2-native, "
                + "or name its socket with --socket\(whoMay)"
        case .socket(let file):
            return "nobody answers at \(file); is the daemon running? Try systemctl "
                + "status omni2-native\(whoMay)"
        case .host(let host):
            return "\(host) cannot be reached: \(reason); check the URL, and on that host "
                + "systemctl status omni2-native"
        }
    }

    private var whoMay: String {
        Process.user == 0
            ? "" : ". Only root and members of the group omni2-admin may use it; try sudo"
    }
}

/// Text as one segment of a path or one value of a query (RFC 3986).
enum PercentText {
    static func encode(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let scalar = Unicode.Scalar(byte)
            if scalar.isASCII, isUnreserved(byte) {
                result.unicodeScalars.append(scalar)
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
