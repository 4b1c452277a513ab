import OmniIO

/// The sockets of the daemon: those systemd passed, or else its own.
enum Listeners {
    /// Names of `FileDescriptorName=` in `omni2-native.socket` and `omni2-native-admin.socket`.
    static let activatedNames = ["http", "admin"]

    static func open(
        _ configuration: Configuration, _ activated: ActivatedSockets, backlog: Int
    ) throws(StartError) -> [Listener] {
        let passed = activatedNames.flatMap { activated[$0] }
        if !passed.isEmpty { return passed.compactMap(adopt) }
        var listeners: [Listener] = []
        for wanted in configuration.http.listen {
            listeners.append(try bind(wanted.text, backlog))
        }
        return listeners
    }

    private static func adopt(_ passed: ActivatedSockets.Passed) -> Listener? {
        guard case .listener = passed.kind,
            let address = Sockets.localAddress(of: passed.descriptor)
        else { return nil }
        return Listener(
            descriptor: passed.descriptor, address: address, isActivated: true,
            audience: passed.name == "admin" && address.isPath ? .administrators : nil)
    }

    private static func bind(_ text: String, _ backlog: Int) throws(StartError) -> Listener {
        guard let wanted = SocketAddress(text) else {
            preconditionFailure("a listen address passed validation and is none: \(text)")
        }
        do throws(SystemError) {
            if case .path(let path) = wanted, let slash = path.lastIndex(of: "/") {
                try Files.makeDirectory(String(path[..<slash]))
            }
            let socket = try Sockets.listen(on: wanted, backlog: Int32(backlog))
            let address = Sockets.localAddress(of: socket.raw) ?? wanted
            return Listener(descriptor: socket.take(), address: address, isActivated: false)
        } catch {
            throw .cannotListen(text, error)
        }
    }
}
