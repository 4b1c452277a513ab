import OmniCore

/// The era in which each server was last spoken to, by its configuration: a new session with the
/// same server, another principal's or after a reload, need not find it out again.
final class EraVerdicts {
    private var known: [Key: ProtocolVersion.Era] = [:]
    private static let countMax = 4096

    private struct Key: Hashable {
        let url: String
        let metaData: String
    }

    subscript(configuration: ServerConfiguration) -> ProtocolVersion.Era? {
        get { known[Key(url: configuration.url, metaData: configuration.metaData)] }
        set {
            // Far more than there are servers: what is forgotten is found again.
            if known.count >= Self.countMax { known.removeAll() }
            known[Key(url: configuration.url, metaData: configuration.metaData)] = newValue
        }
    }
}
