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

/// The room for subscribers, of all rings together.
struct HubSeats {
    enum Verdict: Equatable {
        case welcome
        /// 503.
        case full
        /// 429: of one identity, or of one address.
        case tooManyOfYours(String)
    }

    private(set) var count = 0
    private let countMax: Int
    private var quota: ConnectionQuota

    init(countMax: Int, quota: ConnectionQuota) {
        self.countMax = countMax
        self.quota = quota
    }

    func judge(_ identity: String, _ address: String?) -> Verdict {
        guard count < countMax else { return .full }
        switch quota.judge(identity, address) {
        case .welcome: return .welcome
        case .tooManyOfIdentity: return .tooManyOfYours("identity")
        case .tooManyOfAddress: return .tooManyOfYours("address")
        }
    }

    mutating func enter(_ identity: String, _ address: String?) {
        count += 1
        quota.enter(identity, address)
    }

    mutating func leave(_ identity: String, _ address: String?) {
        precondition(count > 0, "a seat was given up that nobody had")
        count -= 1
        quota.leave(identity, address)
    }
}
