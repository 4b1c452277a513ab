import OmniCore

extension Access {
    /// What somebody with an open socket is told when it has to close: blocked, or no longer let in.
    func dismissal(of principal: Principal) -> String? {
        guard let now = current(principal) else { return "Your access has ended." }
        for service in Permission.Service.allCases {
            if case .blocked(let message)? = refusal(now, from: service) { return message }
        }
        return nil
    }
}
