/// How many subscribers there are per identity and per address: nobody takes all the room.
struct ConnectionQuota {
    enum Verdict {
        case welcome
        case tooManyOfIdentity
        case tooManyOfAddress
    }

    /// 0: no limit of its own.
    let perIdentityMax: Int
    let perAddressMax: Int
    private var identities: [String: Int] = [:]
    private var addresses: [String: Int] = [:]

    init(perIdentityMax: Int, perAddressMax: Int) {
        self.perIdentityMax = perIdentityMax
        self.perAddressMax = perAddressMax
    }

    func judge(_ identity: String, _ address: String?) -> Verdict {
        if perIdentityMax > 0, identities[identity, default: 0] >= perIdentityMax {
            return .tooManyOfIdentity
        }
        if perAddressMax > 0, let address, addresses[address, default: 0] >= perAddressMax {
            return .tooManyOfAddress
        }
        return .welcome
    }

    mutating func enter(_ identity: String, _ address: String?) {
        if perIdentityMax > 0 { identities[identity, default: 0] += 1 }
        if perAddressMax > 0, let address { addresses[address, default: 0] += 1 }
    }

    mutating func leave(_ identity: String, _ address: String?) {
        if perIdentityMax > 0 { Self.lower(&identities, identity) }
        if perAddressMax > 0, let address { Self.lower(&addresses, address) }
    }

    private static func lower(_ counts: inout [String: Int], _ key: String) {
        guard let count = counts[key] else { return }
        counts[key] = count > 1 ? count - 1 : nil
    }
}
