/// Who makes a request, as far as a credential has shown.
struct Principal: Hashable, Sendable {
    /// What limits and cached results are kept by; the same for every use of one credential.
    let id: String
    /// For records and replies.
    let name: String
    let role: Role

    enum Role: String, Hashable, Sendable {
        case superAdmin = "super_admin"
        case none = "none"
    }

    /// Nobody in particular: what open routes see.
    static let anonymous = Principal(id: "", name: "anonymous", role: .none)

    var isAdministrator: Bool { role == .superAdmin }
}
